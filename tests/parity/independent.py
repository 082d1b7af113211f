"""What an algorithm must see, computed from the CSV files with the csv module and arithmetic.

Nothing here comes from zipline or rustybt. The rules are zipline's documented ones: a price before
an ex-date is multiplied by the split's ratio, or by ``1 - amount / previous session's close``; a
volume is divided by the split's ratio; only events up to the session one looks from count.
"""

import csv
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from math import nan, prod
from pathlib import Path

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume")
MADE_OF = {
    "open": lambda values: values[0],
    "high": max,
    "low": min,
    "close": lambda values: values[-1],
    "volume": sum,
}

Row = dict[str, float]


@dataclass(frozen=True)
class Event:
    """From ``ex_date`` on, earlier prices and volumes are seen multiplied by these."""

    ex_date: date
    price: float
    volume: float


@dataclass(frozen=True)
class CsvData:
    """The files of one data set by symbol; a row that is not there is a key that is not there."""

    daily: dict[str, dict[date, Row]]
    minute: dict[str, dict[datetime, Row]]
    events: dict[str, list[Event]]

    @classmethod
    def read(cls, root: Path) -> "CsvData":
        daily = read_bars(root / "daily", date)
        events = {symbol: [] for symbol in daily}
        for row in read_rows(root / "splits.csv"):
            ratio = float(row["ratio"])
            event = Event(date.fromisoformat(row["ex_date"]), ratio, 1 / ratio)
            events[row["symbol"]].append(event)
        for row in read_rows(root / "dividends.csv"):
            ex_date = date.fromisoformat(row["ex_date"])
            bar = daily[row["symbol"]].get(session_before(daily, ex_date))
            if bar:
                event = Event(ex_date, 1 - float(row["amount"]) / bar["close"], 1.0)
                events[row["symbol"]].append(event)
        return cls(daily, read_bars(root / "minute", datetime), events)

    def seen(self, symbol: str, field: str, day: date, row: Row | None, seen_from: date) -> float:
        """A row's value as seen from a later session; without a row NaN, or a volume of 0."""
        if row is None:
            return 0.0 if field == "volume" else nan
        which = "volume" if field == "volume" else "price"
        events = (event for event in self.events[symbol] if day < event.ex_date <= seen_from)
        return row[field] * prod(getattr(event, which) for event in events)

    def session(self, symbol: str, field: str, day: date, seen_from: date) -> float:
        """A session's value as seen from a later one."""
        return self.seen(symbol, field, day, self.daily[symbol].get(day), seen_from)

    def price(self, symbol: str, day: date, seen_from: date) -> float:
        """The last close up to ``day`` as seen from a later session; NaN before the first."""
        last = latest(sorted(self.daily[symbol]), day)
        return nan if last is None else self.session(symbol, "close", last, seen_from)

    def at(self, symbol: str, field: str, minute: datetime, seen_from: date) -> float:
        """A minute's value as seen from a later session."""
        row = self.minute[symbol].get(minute)
        return self.seen(symbol, field, minute.date(), row, seen_from)

    def price_at(
        self, symbol: str, minute: datetime, seen_from: date, since: datetime | None = None
    ) -> float:
        """The last close up to the minute as seen from a later session; NaN before the first.

        A row without volume counts from ``since`` on: in history from the window's first minute,
        in current (None) only the minute itself.
        """
        rows, traded = self.minute_times[symbol]
        last = latest(rows, minute)
        if last is None or last < (since or minute):
            last = latest(traded, minute)
        return nan if last is None else self.at(symbol, "close", last, seen_from)

    @cached_property
    def minute_times(self) -> dict[str, tuple[list[datetime], list[datetime]]]:
        """By symbol the minutes that have a row, and those that have volume, in order."""
        return {
            symbol: (sorted(bars), sorted(at for at in bars if bars[at]["volume"]))
            for symbol, bars in self.minute.items()
        }

    def so_far(self, symbol: str, field: str, minute: datetime) -> float:
        """The daily value that the session's minutes up to this one make."""
        rows, _ = self.minute_times[symbol]
        times = [at for at in rows if at.date() == minute.date() and at <= minute]
        empty = 0.0 if field == "volume" else nan
        return MADE_OF[field]([self.minute[symbol][at][field] for at in times]) if times else empty


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_bars(folder: Path, parse: type[date]) -> dict[str, dict]:
    """Each symbol's rows by session or by UTC minute."""
    return {
        path.name.removesuffix(".csv"): {
            parse.fromisoformat(row.pop("date")): {name: float(row[name]) for name in FIELDS}
            for row in read_rows(path)
        }
        for path in sorted(folder.glob("*.csv"))
    }


def session_before(daily: dict[str, dict[date, Row]], day: date) -> date | None:
    """The last session before ``day`` on which any symbol has a bar."""
    return max((at for bars in daily.values() for at in bars if at < day), default=None)


def latest(times: Sequence[date], limit: date) -> date | None:
    """The last of the sorted ``times`` that is not after ``limit``."""
    place = bisect_right(times, limit)
    return times[place - 1] if place else None
