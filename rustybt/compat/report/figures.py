"""The headline figures and the table of monthly returns."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from rustybt.compat.report.run import Run
from rustybt.compat.report.text import count, number, percent

DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Figure:
    """One headline figure, as text, with short notes to print under it."""

    label: str
    value: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall from a peak.

    Attributes
    ----------
    depth : float
        Zero or negative; -0.25 is a quarter of the peak.
    peak, trough : datetime.date
        Sessions. A fall from the starting capital has the first session as its peak.
    recovered : datetime.date or None
        The first session back at the peak, None if the run ended below it.
    """

    depth: float
    peak: date
    trough: date
    recovered: date | None


@dataclass(frozen=True)
class YearOfReturns:
    """Returns of a year's twelve months (None: the run has no session there) and of the year."""

    year: int
    months: tuple[float | None, ...]
    total: float


def drawdowns(growth: pl.Series) -> pl.Series:
    """Fall from the highest value so far, the starting 1.0 included; zero or negative."""
    return growth / pl.Series([1.0]).append(growth).cum_max()[1:] - 1.0


def deepest_drawdown(run: Run) -> Drawdown | None:
    """Find the deepest drawdown; None for a run that never fell below its peak."""
    growth, days = run.sessions["growth"], run.sessions["session"]
    falls = drawdowns(growth)
    trough = falls.arg_min()
    if trough is None or falls[trough] >= 0.0:
        return None
    top = max(1.0, growth[: trough + 1].max())
    at_peak = (growth[: trough + 1] >= top).arg_true()
    back = (growth[trough:] >= top).arg_true()
    return Drawdown(
        depth=falls[trough],
        peak=days[at_peak[-1]] if len(at_peak) else days[0],
        trough=days[trough],
        recovered=days[trough + back[0]] if len(back) else None,
    )


def years(run: Run) -> float:
    """Length of the run in calendar years, its first and last session included."""
    days = run.sessions["session"]
    return ((days[-1] - days[0]).days + 1) / DAYS_A_YEAR


def annual_growth(run: Run) -> float | None:
    """Compound annual growth rate over calendar time; None under a year or after a total loss."""
    growth = run.sessions["growth"][-1]
    if growth is None or growth <= 0.0 or years(run) < 1.0:
        return None
    return float(growth ** (1.0 / years(run)) - 1.0)


def monthly_returns(run: Run) -> list[YearOfReturns]:
    """Compound the sessions' returns into months and years."""
    grown = (1.0 + pl.col("returns").fill_null(0.0)).product() - 1.0
    year, month = pl.col("session").dt.year(), pl.col("session").dt.month()
    months = run.sessions.group_by(year.alias("year"), month.alias("month")).agg(grown)
    totals = run.sessions.group_by(year.alias("year")).agg(grown).sort("year")
    by_month = {(y, m): value for y, m, value in months.iter_rows()}
    return [
        YearOfReturns(y, tuple(by_month.get((y, m)) for m in range(1, 13)), total)
        for y, total in totals.iter_rows()
    ]


def full_colour(years: list[YearOfReturns]) -> float:
    """The size of a month's return that has the full colour: the largest, within 1% and 12%."""
    sizes = [abs(value) for year in years for value in year.months if value is not None]
    return min(0.12, max(0.01, math.ceil(100.0 * max(sizes)) / 100.0))


def headline(run: Run) -> list[Figure]:
    """Say how the run went in about a dozen figures."""
    return [*_returns(run), *_risk(run), *_benchmark(run), *_activity(run)]


def _returns(run: Run) -> Iterator[Figure]:
    last = run.sessions.row(-1, named=True)
    yield Figure("Total return", percent(_less_one(last["growth"])))
    short = years(run) < 1.0
    yield Figure("CAGR", percent(annual_growth(run)), ("under a year",) if short else ())
    yield Figure("Final value", number(last["value"]), (f"from {number(run.capital_base)}",))


def _risk(run: Run) -> Iterator[Figure]:
    yield Figure("Volatility", percent(run.risk["algo_volatility"]), ("annualised",))
    yield Figure("Sharpe", number(run.risk["sharpe"]))
    yield Figure("Sortino", number(run.risk["sortino"]))
    deepest = deepest_drawdown(run)
    if deepest is None:
        yield Figure("Max drawdown", percent(0.0))
        return
    end = f"recovered {deepest.recovered}" if deepest.recovered else "not recovered"
    notes = (f"{deepest.peak} to {deepest.trough}", end)
    yield Figure("Max drawdown", percent(deepest.depth), notes)


def _benchmark(run: Run) -> Iterator[Figure]:
    if not run.has_benchmark:
        return
    yield Figure("Benchmark return", percent(_less_one(run.sessions["benchmark"][-1])))
    beta = number(run.risk["beta"])
    yield Figure("Alpha", percent(run.risk["alpha"]), ("annualised", f"beta {beta}"))


def _activity(run: Run) -> Iterator[Figure]:
    unfilled = run.orders.filter(pl.col("filled") == 0.0).height
    yield Figure("Orders", count(run.orders.height), (f"{count(unfilled)} not filled",))
    yield Figure("Transactions", count(run.fills.height))
    yield Figure("Commission", number(run.orders["commission"].sum()))


def _less_one(growth: float | None) -> float | None:
    return None if growth is None else growth - 1.0
