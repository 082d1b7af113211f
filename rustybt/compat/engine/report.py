"""A day's packet of results, as zipline's default metrics make it, in one pass.

zipline asks 27 objects in turn, each of which works the portfolio out for itself. Their sum and no
other set is known here; any other one is left to zipline.
"""

from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
from zipline.finance.metrics import default_metrics
from zipline.finance.metrics.metric import (
    AlphaBeta,
    BenchmarkReturnsAndVolatility,
    ReturnsStatistic,
)

from rustybt.compat.engine.risk import RunningRisk

_STATS = (
    "longs_count",
    "shorts_count",
    "long_value",
    "short_value",
    "long_exposure",
    "short_exposure",
)


def is_default(metrics: Iterable[Any]) -> bool:
    """Whether a set of metrics is zipline's default one, of zipline's own classes."""
    return Counter(map(_described, metrics)) == Counter(map(_described, default_metrics()))


def _described(metric: Any) -> tuple[Any, ...]:
    values = [
        (name, repr(value) if isinstance(value, attrgetter) else value)
        for name, value in sorted(vars(metric).items())
    ]
    try:
        hash(described := (type(metric), *values))
    except TypeError:  # a metric of somebody else's holds a list, say
        return (id(metric),)
    return described


class DailyReport:
    """What a tracker calls in the place of zipline's default metrics, at daily emission.

    Parameters
    ----------
    metrics : iterable of zipline's default metrics
    """

    def __init__(self, metrics: Iterable[Any]) -> None:
        statistics = (ReturnsStatistic, AlphaBeta)
        self._statistics = [each for each in metrics if type(each) in statistics]
        (self._benchmark,) = (
            each for each in metrics if type(each) is BenchmarkReturnsAndVolatility
        )
        self._running: RunningRisk | None = None
        self._previous_pnl = self._previous_cash_flow = 0.0
        self._max_leverage = 0.0
        self._trading_days = 0

    def start_of_simulation(
        self, ledger: Any, emission_rate: str, calendar: Any, sessions: Any, benchmark: Any
    ) -> None:
        """Look at the benchmark, and at what there is before the first session."""
        for metric in (self._benchmark, *self._statistics):
            if hasattr(metric, "start_of_simulation"):
                metric.start_of_simulation(ledger, emission_rate, calendar, sessions, benchmark)
        returns = self._benchmark._daily_returns
        if len(returns) == len(sessions) and np.isfinite(returns).all():
            self._running = RunningRisk(returns)
        self._benchmark_returns = _known(self._benchmark._daily_cumulative_returns)
        self._benchmark_volatility = _known(self._benchmark._daily_annual_volatility)
        self._started = _starting(ledger.portfolio)

    def start_of_session(self, ledger: Any, session: pd.Timestamp, *_: Any) -> None:
        """Remember what the day begins with."""
        portfolio = ledger.portfolio
        self._previous_pnl = portfolio.pnl
        self._previous_day = _starting(portfolio)
        self._trading_days += 1
        self._label = f"{session.year:04d}-{session.month:02d}"

    def end_of_session(self, packet: dict[str, Any], ledger: Any, *when: Any) -> None:
        """Fill the packet of a day; `when` is its session, its number, and the portal."""
        portfolio, account = ledger.portfolio, ledger.account
        daily, total = packet["daily_perf"], packet["cumulative_perf"]
        pnl, cash_flow = portfolio.pnl, portfolio.cash_flow
        daily["returns"], total["returns"] = ledger.todays_returns, portfolio.returns
        daily["pnl"], total["pnl"] = pnl - self._previous_pnl, pnl
        daily["capital_used"], total["capital_used"] = (
            cash_flow - self._previous_cash_flow,
            cash_flow,
        )
        self._previous_cash_flow = cash_flow
        daily["orders"], daily["transactions"] = ledger.orders(), ledger.transactions()
        daily["positions"] = ledger.positions
        daily.update(self._previous_day)
        total.update(self._started)
        values = _ending(portfolio, account, ledger.position_tracker.stats)
        daily.update(values)
        total.update(values)
        self._risk(packet, ledger, *when)

    def end_of_simulation(self, *args: Any) -> None:
        """None of the default metrics says anything."""

    def _risk(self, packet: dict[str, Any], ledger: Any, *when: Any) -> None:
        _, index, _ = when
        self._max_leverage = max(self._max_leverage, ledger.account.leverage)
        risk = packet["cumulative_risk_metrics"]
        risk["algorithm_period_return"] = ledger.portfolio.returns
        risk["benchmark_period_return"] = self._benchmark_returns[index]
        risk["benchmark_volatility"] = self._benchmark_volatility[index]
        risk["max_leverage"] = self._max_leverage
        risk["excess_return"] = risk["treasury_period_return"] = 0.0
        risk["trading_days"], risk["period_label"] = self._trading_days, self._label
        found = None
        if self._running is not None:
            found = self._running.add(ledger.daily_returns_array[: index + 1])
        if found is not None:
            risk.update(found)
            return
        self._running = None
        for metric in self._statistics:
            metric.end_of_session(packet, ledger, *when)


def _known(values: Any) -> list[Any]:
    """The values, None for NaN."""
    return [None if value != value else value for value in values]


def _starting(portfolio: Any) -> dict[str, Any]:
    return {
        "starting_exposure": portfolio.positions_exposure,
        "starting_value": portfolio.positions_value,
        "starting_cash": portfolio.cash,
    }


def _ending(portfolio: Any, account: Any, stats: Any) -> dict[str, Any]:
    values = {name: getattr(stats, name) for name in _STATS}
    values["ending_exposure"] = portfolio.positions_exposure
    values["ending_value"] = portfolio.positions_value
    values["ending_cash"] = portfolio.cash
    values["portfolio_value"] = portfolio.portfolio_value
    values["gross_leverage"] = account.gross_leverage
    values["net_leverage"] = account.net_leverage
    return values
