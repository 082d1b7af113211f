"""What arrives from a source, some symbols at a time: checked and kept."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import DAILY, PRICE_COLUMNS, Frequency, conform, validate
from rustybt.data.bundles import coverage, quality
from rustybt.data.bundles._spill import Spill, run_starts
from rustybt.data.bundles.panel import UINT32_MAX, Precision
from rustybt.data.calendars import (
    Calendar,
    Days,
    calendar_days,
    calendar_version,
    load_calendar,
)
from rustybt.data.errors import BarValidationError, FrequencyError


def kind_of(frequency: Frequency) -> str:
    """The directory of a frequency in a version.

    Raises
    ------
    FrequencyError
        If a bundle cannot hold such bars.
    """
    if frequency.intraday:
        return "minute"
    if frequency == DAILY:
        return "daily"
    raise FrequencyError(f"a bundle holds sessions (1d) and intraday bars, not {frequency}")


class Collector:
    """Bars of an ingest, kept by kind, with the counts that metadata is made of.

    Parameters
    ----------
    directory : pathlib.Path
        For what must wait on disk; the caller removes it.
    frequencies : tuple of Frequency
        At most one of each kind.
    calendar : str
    off_calendar : {"raise", "drop"}
    sids : mapping of str to int
    derive_daily : bool
        Whether to make daily bars of intraday ones when there are no others.
    precision : {"full", "bcolz"}
        Under ``bcolz`` bars that zipline's format has no room for are refused.
    """

    def __init__(
        self,
        directory: Path,
        frequencies: tuple[Frequency, ...],
        calendar: str,
        off_calendar: Literal["raise", "drop"],
        sids: Mapping[str, int],
        derive_daily: bool = True,
        precision: Precision = "full",
    ) -> None:
        kinds = [kind_of(frequency) for frequency in frequencies]
        if len(set(kinds)) < len(kinds):
            raise FrequencyError("a bundle holds one intraday frequency; make one bundle for each")
        self.frequencies = frequencies
        self.calendar = calendar
        self.derives_daily = derive_daily and "daily" not in kinds
        self.spills = {
            kind: Spill(directory / kind, frequency)
            for kind, frequency in zip(kinds, frequencies, strict=True)
        }
        if self.derives_daily:
            self.spills["daily"] = Spill(directory / "daily", DAILY)
        self.rows = 0
        #: Symbols that were asked for, and therefore leave no trace of the base's failures.
        self.asked_for: frozenset[str] = frozenset()
        self.coverage: list[pl.DataFrame] = []
        #: Findings of rows that are not in the version; see `quality.REFUSED`.
        self.refused: list[pl.DataFrame] = []
        self._off_calendar = off_calendar
        self.precision = precision
        self._sids = sids

    def add(self, bars: Mapping[Frequency, pl.DataFrame]) -> dict[str, BarValidationError]:
        """Check and keep the bars of some symbols, at every frequency.

        Parameters
        ----------
        bars : mapping of Frequency to polars.DataFrame
            As a source returned them, of the same symbols.

        Returns
        -------
        dict of str to BarValidationError
            Symbols with bars that cannot be true, lie off the calendar, or do not fit the
            precision: nothing of them was kept.
        """
        refused: dict[str, BarValidationError] = {}
        checked: list[tuple[Frequency, pl.DataFrame]] = []
        for frequency, frame in bars.items():
            conformed, invalid = _without(conform(frame, frequency), validate, "")
            refused.update(invalid)
            if conformed.is_empty():
                continue
            calendar = self.calendar_of(conformed)
            dated = conformed.with_columns(session_of(conformed, calendar))
            kept, strange = self._on_calendar(dated, calendar, frequency)
            fitting, large = self._fitting(kept, frequency)
            refused.update({**strange, **large})
            checked.append((frequency, fitting))
        for frequency, frame in checked:
            good = frame.filter(~pl.col("symbol").is_in(list(refused))) if refused else frame
            if not good.is_empty():
                self.take(good, frequency)
        return refused

    def take(self, bars: pl.DataFrame, frequency: Frequency) -> None:
        """Keep bars that were checked.

        Parameters
        ----------
        bars : polars.DataFrame
            With their ``session``, and their ``sid`` where it is known already; each symbol's
            bars at once.
        """
        self._keep(kind_of(frequency), bars)
        self.rows += len(bars)
        if frequency.intraday and self.derives_daily:
            self._keep("daily", to_sessions(bars))

    def _keep(self, kind: str, bars: pl.DataFrame) -> None:
        self.spills[kind].add(self._numbered(bars), bars["session"])

    def _numbered(self, bars: pl.DataFrame) -> pl.DataFrame:
        if "sid" in bars.columns:
            return bars
        begins = run_starts(bars["symbol"])
        lengths = np.diff(np.append(begins, len(bars)))
        own = [self._sids[symbol] for symbol in bars["symbol"][begins]]
        sids = np.repeat(np.array(own, dtype=np.int64), lengths)
        return bars.with_columns(sid=pl.Series(sids))

    def calendar_of(self, bars: pl.DataFrame) -> Calendar:
        """The calendar over the years of some bars."""
        first, last = calendar_days(bars["timestamp"].to_numpy())
        # Whole years, so that batches with different lives share one calendar. The minute 00:00 of
        # 1 January belongs, on a round-the-clock market, to the session of the year before.
        start = date((first - timedelta(days=1)).year, 1, 1)
        return load_calendar(self.calendar, start, date(last.year, 12, 31))

    def _on_calendar(
        self, bars: pl.DataFrame, calendar: Calendar, frequency: Frequency
    ) -> tuple[pl.DataFrame, dict[str, BarValidationError]]:
        """The bars that may stay, and the symbols that are refused for others."""
        labels = bars["timestamp"].to_numpy()
        if frequency.intraday:
            known = calendar.is_open_at(labels)
        else:
            known = are_sessions(labels.astype("datetime64[D]"), calendar)
        if known.all():
            return bars, {}
        off = bars.filter(~known)
        findings = _off_calendar_findings(off, calendar)
        if self._off_calendar == "drop":
            self.coverage.append(coverage.dropped(off, str(frequency)))
            self.refused.append(quality.of_refused(findings))
            return bars.filter(known), {}
        return _without(bars, lambda _: findings, _OFF_CALENDAR_HINT)

    def _fitting(
        self, bars: pl.DataFrame, frequency: Frequency
    ) -> tuple[pl.DataFrame, dict[str, BarValidationError]]:
        """The same for what zipline's format has no room for, under precision ``bcolz``."""
        if self.precision == "full":
            return bars, {}
        fitting, refused = _without(bars, _beyond_uint32, _BCOLZ_HINT)
        if frequency.intraday and self.derives_daily:
            _, days = _without(to_sessions(fitting), _beyond_uint32, _BCOLZ_HINT)
            refused |= days
        return fitting, refused

    def notes(self, events: Events, symbols: pl.Series) -> list[str]:
        """The assumptions of this ingest, in sentences; `symbols` are those with bars."""
        notes = list(events.notes)
        if self.derives_daily:
            notes.append("Daily bars were derived from the intraday ones.")
        for kind, frame in (
            ("dividends", events.dividends),
            ("stock dividends", events.stock_dividends),
        ):
            unpaid = frame["pay_date"].null_count()
            if unpaid:
                notes.append(
                    f"{unpaid} of {len(frame)} {kind} have no pay date: "
                    "a run pays them on the ex-date."
                )
        strange = events.stock_dividends.filter(~pl.col("payment_symbol").is_in(symbols.implode()))
        if not strange.is_empty():
            names = ", ".join(sorted(strange["payment_symbol"].unique()))
            notes.append(
                f"{len(strange)} stock dividends are paid in {names}, of which there are no bars: "
                "a run leaves them out."
            )
        return notes


def _without(
    bars: pl.DataFrame, judge: Callable[[pl.DataFrame], pl.DataFrame], hint: str
) -> tuple[pl.DataFrame, dict[str, BarValidationError]]:
    """Bars of the symbols without a finding, and the findings of the others as errors."""
    findings = judge(bars)
    if findings.is_empty():
        return bars, {}
    if findings["symbol"].null_count():
        raise BarValidationError(findings, hint)  # nobody knows whose bars these are
    refused = {
        str(symbol): BarValidationError(own, hint)
        for (symbol,), own in findings.partition_by("symbol", as_dict=True).items()
    }
    return bars.filter(~pl.col("symbol").is_in(list(refused))), refused


def _beyond_uint32(bars: pl.DataFrame) -> pl.DataFrame:
    thousandths = pl.max_horizontal(PRICE_COLUMNS) * 1000
    outside = (thousandths.round() > UINT32_MAX) | (pl.col("volume").floor() > UINT32_MAX)
    text = pl.format("high {} or volume {} is too large for zipline's format", "high", "volume")
    return bars.filter(outside).select(
        pl.lit("bcolz").alias("rule"), "symbol", "timestamp", text.alias("message")
    )


_BCOLZ_HINT = "Ingest with precision full, which has no such bounds."
_OFF_CALENDAR_HINT = (
    "Name the market's calendar (--calendar), correct the file, or leave such bars out "
    "(--off-calendar drop): they are then recorded."
)


def are_sessions(days: Days, calendar: Calendar) -> npt.NDArray[np.bool_]:
    """Whether each day is a session of the calendar, which must reach over all of them."""
    if not len(days):
        return np.zeros(0, dtype=np.bool_)
    since = days.view(np.int64) - int(days.min().astype(np.int64))
    table = np.zeros(int(since.max()) + 1, dtype=np.bool_)
    sessions = calendar.sessions_between(days.min().item(), days.max().item())
    table[(sessions - days.min()).astype(np.int64)] = True
    found: npt.NDArray[np.bool_] = table[since]
    return found


def session_of(bars: pl.DataFrame, calendar: Calendar) -> pl.Series:
    """The session of each bar, a series named ``session``."""
    if bars["timestamp"].dtype == pl.Date:
        return bars["timestamp"].alias("session")
    labels = bars["timestamp"].to_numpy()
    # A label after the last known close keeps its own date; it is off the calendar anyway.
    sessions = calendar.session_of(labels)
    days = np.where(np.isnat(sessions), labels.astype("datetime64[D]"), sessions)
    return pl.Series("session", days)


def to_sessions(bars: pl.DataFrame) -> pl.DataFrame:
    """Daily bars of intraday ones.

    Parameters
    ----------
    bars : polars.DataFrame
        Intraday bars with their ``session``, sorted by (symbol, timestamp).
    """
    return (
        bars.group_by("symbol", "session", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .with_columns(pl.col("session").alias("timestamp"))
    )


def _off_calendar_findings(bars: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    noun = "a session" if bars["timestamp"].dtype == pl.Date else "a trading minute"
    text = f"not {noun} of calendar {calendar.name} (exchange_calendars {calendar_version()})"
    return bars.select(
        pl.lit("off_calendar").alias("rule"),
        "symbol",
        "timestamp",
        pl.lit(text).alias("message"),
    )
