"""A bundle as zipline's csvdir: ``daily/AAPL.csv``, ``minute/AAPL.csv``.

zipline's csvdir takes splits and dividends from columns of the daily files, on the row of their
ex-date, and wants a row for every session between an asset's first bar and its last.
https://zipline.ml4trading.io/bundles.html
"""

import math
from pathlib import Path

import numpy as np
import polars as pl

from rustybt.compat._export_losses import ExportError, Losses
from rustybt.compat._export_rows import (
    KINDS,
    NO_TRADE,
    Step,
    batches,
    by_symbol,
    counts,
    prices_as_read,
)
from rustybt.data.bundles.bundle import Bundle
from rustybt.data.calendars import Days, load_calendar


def write(bundle: Bundle, directory: Path, losses: Losses, step: Step) -> None:
    """Write a file a symbol into a folder a frequency.

    Raises
    ------
    ExportError
        If there are no bars, or a symbol cannot name a file.
    """
    known = {kind: counts(bundle, kind)["symbol"].to_list() for kind in KINDS}
    symbols = sorted({symbol for names in known.values() for symbol in names})
    _require_file_names(bundle, symbols)
    events = _Events(bundle, losses)
    events.check(known["daily"], symbols)
    first, last = bundle.metadata.start_date.date(), bundle.metadata.end_date.date()
    sessions = load_calendar(bundle.metadata.calendar, first, last).sessions
    for kind in KINDS:
        if known[kind]:
            (directory / kind).mkdir()
        for batch in batches(bundle, kind):
            for _, symbol, bars in by_symbol(batch):
                rows = _minutes(bars) if kind == "minute" else _days(bars, sessions)
                table = events.beside(rows, symbol) if kind == "daily" else rows
                if len(table):
                    table.write_csv(directory / kind / f"{symbol}.csv")
                step(f"{kind} files")
    events.note()
    dotted = [symbol for symbol in symbols if "." in symbol]
    if dotted:
        losses.notes.append(f"zipline's csvdir cannot read symbols with a dot: {_some(dotted)}.")


def _require_file_names(bundle: Bundle, symbols: list[str]) -> None:
    if not symbols:
        raise ExportError(f"bundle {bundle.metadata.bundle_name!r} has no bars to write files of")
    wrong = [each for each in symbols if "/" in each or "\0" in each or each[:1] in ("", ".", "~")]
    if wrong:
        raise ExportError(f"{_some(wrong)} cannot name a file; export to parquet")


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _days(bars: pl.DataFrame, sessions: Days) -> pl.DataFrame:
    """A row a session of the life; without prices where there is no bar."""
    first, last = (np.datetime64(bars["timestamp"][place], "D") for place in (0, -1))
    life = pl.DataFrame({"timestamp": sessions[(sessions >= first) & (sessions <= last)]})
    rows = life.join(bars, on="timestamp", how="left", maintain_order="left")
    return _columns(rows.with_columns(pl.col("volume").fill_null(0.0)))


def _minutes(bars: pl.DataFrame) -> pl.DataFrame:
    """A row a bar, its time in UTC and without an offset, as zipline wants it."""
    written = pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S")
    return _columns(bars.filter(~NO_TRADE).with_columns(written))


def _columns(rows: pl.DataFrame) -> pl.DataFrame:
    volume = rows["volume"]
    if ((volume == volume.floor()) & (volume < 2**53)).all():
        volume = volume.cast(pl.Int64)
    return rows.select(pl.col("timestamp").alias("date"), *prices_as_read(), volume)


class _Events:
    """Splits and dividends, to stand beside the daily bars of their symbols."""

    def __init__(self, bundle: Bundle, losses: Losses) -> None:
        self._events, self._losses = bundle.events, losses
        self._outside = self._moved = self._merged = 0

    def check(self, daily: list[str], symbols: list[str]) -> None:
        """Count as lost what has no place: `daily` and `symbols` have daily bars, or any."""
        for kind, frame in self._events.items():
            name = kind.removesuffix("s").replace("_", " ")
            acting = frame.filter(pl.col("symbol").is_in(symbols))
            self._outside += len(frame) - len(acting)
            rule = f"{name}, for which csvdir has no column"
            if kind in ("splits", "dividends"):
                acting = acting.filter(~pl.col("symbol").is_in(daily))
                rule = f"{name} without daily bars to stand beside"
            self._losses.add(rule, acting.rename({"ex_date": "timestamp"}), pl.lit(name))

    def beside(self, rows: pl.DataFrame, symbol: str) -> pl.DataFrame:
        """The rows with the columns ``dividend`` and ``split``."""
        days = rows["date"].to_numpy()
        dividend = np.zeros(len(rows))
        for place, amount in self._placed(self._events.dividends, symbol, "amount", days):
            self._merged += dividend[place] != 0
            dividend[place] += amount
        ratio = np.ones(len(rows))
        for place, value in self._placed(self._events.splits, symbol, "ratio", days):
            ratio[place] *= value
        split = [_factor(each) for each in ratio]
        return rows.with_columns(pl.Series("dividend", dividend), pl.Series("split", split))

    def _placed(
        self, events: pl.DataFrame, symbol: str, value: str, days: Days
    ) -> list[tuple[int, float]]:
        """Place of each event among the days, and its value."""
        own = events.filter(pl.col("symbol") == symbol)
        ex_dates = own["ex_date"].to_numpy().astype("datetime64[D]")
        inside = (ex_dates >= days[0]) & (ex_dates <= days[-1])
        self._outside += int((~inside).sum())
        places = np.searchsorted(days, ex_dates[inside])
        self._moved += int((days[places] != ex_dates[inside]).sum())
        return list(zip(places.tolist(), own[value].to_numpy()[inside].tolist(), strict=True))

    def note(self) -> None:
        """Say what stands in the files in another way than in the bundle."""
        paid = self._events.dividends["pay_date"].count()
        notes = {
            "{} dividends have no declared, record and pay dates in csvdir: zipline does not pay "
            "them.": paid,
            "{} events before the first bar of their symbol or after the last one move no bar, and "
            "are left out.": self._outside,
            "{} events stand on the next session, because their ex-date is none.": self._moved,
            "{} dividends are added to another one of the same ex-date.": self._merged,
        }
        self._losses.notes += [text.format(count) for text, count in notes.items() if count]


def _factor(ratio: float) -> float:
    """What zipline, and everyone else, divides one by to get the ratio back, to the bit."""
    inverse = 1.0 / ratio
    near = (round(inverse), inverse, math.nextafter(inverse, 0), math.nextafter(inverse, math.inf))
    return next((float(each) for each in near if each and 1.0 / each == ratio), inverse)
