"""The parity runs: which algorithm on which data, from when to when."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from zipline.finance import commission, slippage

from tests.parity.datasets import DATASETS, DataSet

CALLBACKS = ("initialize", "handle_data", "before_trading_start")
OURS = "tests.parity.algorithms."
EXAMPLES = "zipline.examples."


@dataclass(frozen=True)
class Algorithm:
    """A module's callbacks; ``settings`` go to its initialize, ``renamed`` picks other functions.

    The module's analyze is left out: zipline's examples draw with matplotlib there.
    """

    module: str
    settings: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    def functions(self) -> dict[str, Callable[..., None] | None]:
        """The callbacks under run_algorithm's argument names."""
        module = import_module(self.module)
        found = {name: getattr(module, self.renamed.get(name, name), None) for name in CALLBACKS}
        return found | {"initialize": partial(found["initialize"], **self.settings)}


def no_benchmark(sessions: pd.DatetimeIndex) -> None:
    """What a run without benchmark returns hands to run_algorithm."""


def wave(sessions: pd.DatetimeIndex) -> pd.Series:
    """Benchmark returns that swing by one per cent."""
    return pd.Series(0.01 * np.sin(np.arange(len(sessions))), index=sessions)


@dataclass(frozen=True)
class Case:
    """One run.

    ``only_exact``: a limit meets a price to the cent, where bcolz's float (81070 * 0.001) and the
    nearest one (81.07) decide differently, so full precision may fill an order stock does not.
    """

    name: str
    algorithm: Algorithm
    data: str
    start: str
    end: str
    data_frequency: str = "daily"
    capital_base: float = 1e6
    benchmark: Callable[[pd.DatetimeIndex], pd.Series | None] = no_benchmark
    only_exact: bool = False

    @property
    def dataset(self) -> DataSet:
        """The data set the case runs on."""
        return DATASETS[self.data]


def example(name: str, data: str, start: str, end: str, **more: Any) -> Case:
    """A case of one of zipline's own examples."""
    return Case(name, Algorithm(EXAMPLES + name), data, start, end, **more)


def ours(
    name: str, module: str, data: str, start: str, end: str, *, settings: Any = None, **more: Any
) -> Case:
    """A case of one of the algorithms here."""
    return Case(name, Algorithm(OURS + module, settings or {}), data, start, end, **more)


def cost_case(name: str, fee: Any, fill: Any) -> Case:
    """Two months under one commission and one slippage model."""
    return ours(
        name,
        "costs",
        "us-daily",
        "2013-04-15",
        "2013-06-14",
        settings={"commission": fee, "slippage": fill},
    )


def minute_case(name: str, module: str, start: str, end: str, **more: Any) -> Case:
    """A case on minute bars."""
    return ours(name, module, "us-minute", start, end, data_frequency="minute", **more)


# dual_ema_talib takes its averages from TA-Lib, which is no dependency of zipline's.
TALIB_CASES = (
    (example("dual_ema_talib", "real", "2004-10-01", "2005-09-30"),) if find_spec("talib") else ()
)

EXAMPLE_CASES = (
    *TALIB_CASES,
    # Thirteen years of real prices: two splits, eighty dividends.
    example("buy_and_hold", "real", "2000-03-01", "2013-03-01", benchmark=wave),
    example("buyapple", "real", "2004-10-01", "2005-09-30"),
    example("dual_moving_average", "real", "2010-06-01", "2012-12-31"),
    # zipline's own span: DELL is delisted inside it.
    example("momentum_pipeline", "us-daily", "2013-10-07", "2013-11-30", capital_base=100_000),
    example("olmar", "us-daily", "2012-11-01", "2013-06-28", capital_base=1e7),
)

DAILY_CASES = (
    ours("orders_daily", "orders_daily", "us-daily", "2012-08-01", "2013-07-31"),
    ours("history_daily", "history_daily", "us-daily", "2013-01-02", "2013-06-14"),
    ours("current_daily", "current_daily", "us-daily", "2012-08-13", "2013-03-22"),
    ours("events", "events", "us-daily", "2012-09-18", "2013-12-31"),
    ours("schedule_daily", "schedule", "us-daily", "2012-11-01", "2013-05-31"),
    ours("pipeline_us", "pipeline_us", "us-daily", "2012-08-20", "2013-12-31"),
    ours("delisting", "delisting", "us-daily", "2013-10-01", "2013-11-29"),
    ours("london", "london", "london", "2013-03-01", "2013-09-30"),
    ours("crypto_daily", "crypto", "crypto", "2023-02-01", "2023-07-31"),
    cost_case(
        "per_dollar", commission.PerDollar(0.0017), slippage.FixedBasisPointsSlippage(9, 0.03)
    ),
    cost_case("per_trade", commission.PerTrade(2.5), slippage.VolumeShareSlippage(0.05, 0.3)),
    cost_case("per_share", commission.PerShare(0.011, 2.0), slippage.FixedSlippage(0.07)),
    cost_case("free", commission.NoCommission(), slippage.NoSlippage()),
    ours(
        "controls",
        "controls",
        "us-daily",
        "2013-05-01",
        "2013-06-28",
        settings={
            "since": pd.Timestamp("2013-05-20", tz="UTC"),
            "grace_period": pd.Timedelta(days=9),
        },
    ),
    ours(
        "benchmark_returns",
        "benchmarked",
        "us-daily",
        "2012-10-01",
        "2013-03-28",
        settings={"asset": "MMM"},
        benchmark=wave,
    ),
    ours(
        "benchmark_symbol",
        "benchmarked",
        "us-daily",
        "2012-10-01",
        "2013-06-28",
        settings={"asset": "AMD", "benchmark": "INTC"},
    ),
    # The benchmark's first session is the run's: its first return is from open to close.
    ours(
        "benchmark_from_its_first_session",
        "benchmarked",
        "us-daily",
        "2012-06-01",
        "2012-12-31",
        settings={"asset": "CERN", "benchmark": "COST"},
    ),
)

MINUTE_CASES = (
    minute_case(
        "orders_minute",
        "orders_minute",
        "2013-11-19",
        "2013-12-06",
        settings={"names": ("KO", "PEP", "WMT", "XRX")},
        only_exact=True,
    ),
    minute_case(
        "orders_minute_off_the_cent",
        "orders_minute",
        "2013-11-27",
        "2013-12-04",
        settings={"names": ("PEP", "WMT")},
    ),
    minute_case("history_minute", "history_minute", "2013-11-18", "2013-12-05"),
    minute_case("current_minute", "current_minute", "2013-11-25", "2013-12-04"),
    minute_case("schedule_minute", "schedule", "2013-11-26", "2013-12-04"),
    minute_case("events_minute", "events_minute", "2013-11-25", "2013-12-09"),
    minute_case(
        "benchmark_symbol_minute",
        "benchmarked",
        "2013-11-27",
        "2013-12-03",
        settings={"asset": "WMT", "benchmark": "PEP"},
    ),
    Case(
        "crypto_minute",
        Algorithm(OURS + "crypto", renamed={"handle_data": "handle_minute"}),
        "crypto",
        "2023-12-23",
        "2023-12-26",
        data_frequency="minute",
    ),
)

CASES = EXAMPLE_CASES + DAILY_CASES + MINUTE_CASES
BY_NAME = {case.name: case for case in CASES}
