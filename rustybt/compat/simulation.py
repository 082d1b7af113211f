"""The simulation of a run: an algorithm, its setting, and the engine that runs it on readers."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from zipline.algorithm import TradingAlgorithm as StockAlgorithm
from zipline.data.bundles.core import BundleData
from zipline.extensions import load as load_extension
from zipline.finance import metrics
from zipline.finance.blotter import Blotter
from zipline.finance.trading import SimulationParameters
from zipline.pipeline.data import EquityPricing
from zipline.pipeline.loaders import USEquityPricingLoader
from zipline.utils.run_algo import BenchmarkSpec

from rustybt.compat.data_portal import DataPortal as StockPortal
from rustybt.compat.engine import engine_named
from rustybt.compat.engine.algorithm import TradingAlgorithm
from rustybt.compat.engine.originals import passes_by_nothing
from rustybt.compat.engine.portal import DataPortal
from rustybt.data.bundles.lock import DataLock
from rustybt.data.errors import BenchmarkError


@dataclass(frozen=True)
class Algorithm:
    """What is run: functions, or the text of a script that defines them.

    Attributes
    ----------
    name : str
        For the report.
    functions : mapping
        ``initialize``, ``handle_data``, ``before_trading_start``, ``analyze``.
    script : str or None
        Goes instead of the functions.
    filename : str
        What tracebacks call the script.
    namespace : dict
        Names that the script finds defined.
    """

    name: str
    functions: Mapping[str, Callable[..., Any] | None] = field(default_factory=dict)
    script: str | None = None
    filename: str = "<algorithm>"
    namespace: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for `TradingAlgorithm`."""
        if self.script is None:
            return {"namespace": self.namespace, **self.functions}
        return {
            "namespace": self.namespace,
            "script": self.script,
            "algo_filename": self.filename,
        }


@dataclass(frozen=True)
class Setting:
    """What an algorithm is run on and how; the meanings are those of `run_algorithm`."""

    start: pd.Timestamp
    end: pd.Timestamp
    capital_base: float
    bundle: str
    data_frequency: str = "daily"
    bundle_timestamp: object = None
    trading_calendar: Any = None
    metrics_set: Any = "default"
    blotter: Any = "default"
    custom_loader: Any = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    engine: str | None = None
    require_quality: float | None = None
    lock: DataLock | None = None


class _NeedsBenchmark:
    """Says what to do when there is no benchmark."""

    benchmark_sid: int | None
    benchmark_returns: pd.Series | None

    def _create_benchmark_source(self) -> Any:
        if self.benchmark_sid is None and self.benchmark_returns is None:
            raise BenchmarkError(
                "the algorithm has no benchmark: call set_benchmark in initialize, name one with "
                "--benchmark-symbol, --benchmark-sid or --benchmark-file, or pass --no-benchmark"
            )
        return super()._create_benchmark_source()  # type: ignore[misc]


class _FastAlgorithm(_NeedsBenchmark, TradingAlgorithm):
    pass


class _StockAlgorithm(_NeedsBenchmark, StockAlgorithm):
    pass


_ENGINES: dict[str, tuple[type, type]] = {
    "fast": (DataPortal, _FastAlgorithm),
    "stock": (StockPortal, _StockAlgorithm),
}


def simulate(
    algorithm: Algorithm,
    setting: Setting,
    data: BundleData,
    calendar: Any,
    dates: tuple[pd.Timestamp, pd.Timestamp],
    benchmark: BenchmarkSpec,
) -> pd.DataFrame:
    """Run an algorithm from the first to the last of two sessions; the performance frame."""
    start, end = dates
    benchmark_sid, benchmark_returns = _benchmark(benchmark, data, start, end)
    minute, daily = data.equity_minute_bar_reader, data.equity_daily_bar_reader
    engine = engine_named(setting.engine, setting.environ)
    make_portal, make_algorithm = _ENGINES[engine if passes_by_nothing() else "stock"]
    portal = make_portal(
        data.asset_finder,
        trading_calendar=calendar,
        first_trading_day=minute.first_trading_day,
        equity_minute_reader=minute,
        equity_daily_reader=daily,
        adjustment_reader=data.adjustment_reader,
        future_minute_reader=minute,
        future_daily_reader=daily,
    )
    trading = make_algorithm(
        data_portal=portal,
        get_pipeline_loader=_pipeline_loaders(data, setting.custom_loader),
        trading_calendar=calendar,
        sim_params=SimulationParameters(
            start_session=start,
            end_session=end,
            trading_calendar=calendar,
            capital_base=setting.capital_base,
            data_frequency=setting.data_frequency,
        ),
        metrics_set=_named(setting.metrics_set, metrics.load),
        blotter=_named(setting.blotter, lambda name: load_extension(Blotter, name)),
        benchmark_returns=benchmark_returns,
        benchmark_sid=benchmark_sid,
        **algorithm.arguments(),
    )
    return trading.run()


def _benchmark(
    spec: BenchmarkSpec, data: BundleData, start: pd.Timestamp, end: pd.Timestamp
) -> tuple[int | None, pd.Series | None]:
    try:
        sid, returns = spec.resolve(data.asset_finder, start, end)
    except ValueError as error:  # an unknown symbol, or a file that is not dates and returns
        raise BenchmarkError(str(error)) from error
    return sid, returns


def _named(value: Any, load: Callable[[str], Any]) -> Any:
    return load(value) if isinstance(value, str) else value


def _pipeline_loaders(data: BundleData, custom: Any) -> Callable[[Any], Any]:
    pricing = USEquityPricingLoader.without_fx(data.equity_daily_bar_reader, data.adjustment_reader)

    def choose(column: Any) -> Any:
        if column.unspecialize() in EquityPricing.columns:
            return pricing
        try:
            return (custom or {})[column]
        except KeyError:
            raise ValueError(
                f"no pipeline loader for column {column}; pass one in custom_loader"
            ) from None

    return choose
