"""What is asked of a source: for a new version, for what is missing, or for what came before."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from rustybt.data.bars import Frequency
from rustybt.data.bundles._base import ASKED, REPLACED, Base
from rustybt.data.bundles.plan import Ask
from rustybt.data.calendars import load_calendar, to_session
from rustybt.data.errors import OptionError, RustyBTError
from rustybt.data.listings import LISTINGS

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Request:
    """What an ingest asks for.

    Attributes
    ----------
    asks : tuple of Ask
    universe : tuple of str
        Every symbol that the bundle is meant to have, sorted.
    frequencies : tuple of Frequency
    calendar : str
    base : Base or None
        What the answers are put on.
    """

    asks: tuple[Ask, ...]
    universe: tuple[str, ...]
    frequencies: tuple[Frequency, ...]
    calendar: str
    base: Base | None = None

    def without(self, failed: Collection[str]) -> "Request":
        """The same, with the bars of symbols that failed left as they are in the base."""
        if self.base is None:
            return self
        if not failed:
            return self
        kept = self.base.replaced.filter(~pl.col("symbol").is_in(list(failed)))
        return replace(self, base=self.base.replacing(kept))

    @property
    def symbols(self) -> list[str]:
        """The symbols that are asked for, sorted."""
        return sorted({symbol for ask in self.asks for symbol in ask.symbols})


def missing_ranges(
    base: Base, symbols: Sequence[str], start: Any, end: Any, now: datetime
) -> dict[str, list[tuple[date, date]]]:
    """By symbol, the sessions that an update asks for.

    Those after the last one that is settled, up to `end` (today, if None). Symbols that the bundle
    does not have yet are asked for from `start`, else from where the others begin.
    """
    last = min(to_session(end), now.astimezone(UTC).date()) if end is not None else _today(now)
    settled = dict(base.asked.group_by("symbol").agg(pl.col("last").min()).rows())
    first = to_session(start) if start is not None else _beginning(base)
    wanted = {symbol: settled.get(symbol, first - _DAY) + _DAY for symbol in symbols}
    return {symbol: [(begin, last)] for symbol, begin in wanted.items() if begin <= last}


def earlier_ranges(
    base: Base, symbols: Sequence[str], start: Any
) -> dict[str, list[tuple[date, date]]]:
    """By symbol, the sessions from `start` to before the first one that was asked for.

    Raises
    ------
    OptionError
        If `start` is None.
    """
    if start is None:
        raise OptionError("say from when to prepend (start, --start)")
    begun = dict(base.asked.group_by("symbol").agg(pl.col("first").max()).rows())
    first = to_session(start)
    wanted = {symbol: begun[symbol] - _DAY for symbol in symbols if symbol in begun}
    return {symbol: [(first, last)] for symbol, last in wanted.items() if first <= last}


def _today(now: datetime) -> date:
    return now.astimezone(UTC).date()


def _beginning(base: Base) -> date:
    first = base.asked["first"].min()
    if not isinstance(first, date):
        raise OptionError("say from when to ask (start, --start): nothing was settled so far")
    return first


def with_revised(
    ranges: Mapping[str, list[tuple[date, date]]],
    revised: Mapping[str, tuple[Any, Any]],
    base: Base,
) -> dict[str, list[tuple[date, date]]]:
    """The ranges, and what a source says to have revised of what the base has."""
    joined = {symbol: list(spans) for symbol, spans in ranges.items()}
    known = {symbol: (first, last) for symbol, _, first, last in base.asked.rows()}
    for symbol, (start, end) in revised.items():
        if symbol in known:
            first = max(to_session(start), known[symbol][0])
            last = min(to_session(end), known[symbol][1])
            if first <= last:
                joined.setdefault(symbol, []).append((first, last))
    return {symbol: _merged(spans) for symbol, spans in joined.items()}


def with_lost(
    ranges: Mapping[str, list[tuple[date, date]]], base: Base
) -> dict[str, list[tuple[date, date]]]:
    """The ranges, and those of bars that are damaged in the base and nowhere else either."""
    joined = dict(ranges)
    for symbol, spans in base.lost_ranges().items():
        joined[symbol] = _merged([*joined.get(symbol, []), *spans])
    return joined


def _merged(spans: Iterable[tuple[date, date]]) -> list[tuple[date, date]]:
    """Ranges that touch or overlap as one."""
    merged: list[tuple[date, date]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + _DAY:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def asks_of(
    ranges: Mapping[str, list[tuple[date, date]]],
    calendar: str,
    frequencies: Sequence[Frequency],
) -> tuple[tuple[Ask, ...], pl.DataFrame]:
    """One ask a range, for all symbols that share it; and what it replaces.

    Ranges without a session are not asked for.
    """
    sharing: dict[tuple[date, date], list[str]] = defaultdict(list)
    for symbol, spans in sorted(ranges.items()):
        for first, last in spans:
            sharing[first, last].append(symbol)
    asks, rows = [], []
    for (first, last), symbols in sorted(sharing.items()):
        sessions = load_calendar(calendar, first, last).sessions
        if not len(sessions):
            continue
        asks.append(Ask(tuple(symbols), *_bounds(calendar, sessions, frequencies)))
        rows += [(symbol, first, last) for symbol in symbols]
    return tuple(asks), pl.DataFrame(rows, schema=REPLACED, orient="row")


def _bounds(calendar: str, sessions: Any, frequencies: Sequence[Frequency]) -> tuple[Any, Any]:
    """First and last session, as dates; as instants where a session is no UTC day."""
    first, last = sessions[0].item(), sessions[-1].item()
    if not any(frequency.intraday for frequency in frequencies):
        return first, last
    market = load_calendar(calendar, first, last)
    opened, closed = market.first_minutes[0], market.closes[-1]
    start = opened.astype("datetime64[us]").item().replace(tzinfo=UTC)
    if closed == (np.datetime64(last, "m") + np.timedelta64(1, "D")):
        return start, last  # a date means the whole of its day, up to 24:00
    return start, closed.astype("datetime64[us]").item().replace(tzinfo=UTC)


def settled_within(
    calendar: str, spans: Collection[tuple[date, date]], lag: timedelta, now: datetime
) -> dict[tuple[date, date], date]:
    """For each span of days, its last session whose bars had ended and settled.

    Left out are those without one.
    """
    if not spans:
        return {}
    market = load_calendar(
        calendar, min(first for first, _ in spans), max(last for _, last in spans)
    )
    closes = market.closes.astype("datetime64[us]")
    limit = np.datetime64((now - lag).astimezone(UTC).replace(tzinfo=None), "us")
    done = market.sessions[closes <= limit].tolist()
    last = {span: done[row - 1] for span in spans if (row := bisect_right(done, span[1]))}
    return {span: session for span, session in last.items() if session >= span[0]}


@dataclass(frozen=True)
class Answers:
    """What came of a request, as far as the next one needs to know.

    Attributes
    ----------
    request : Request
    failures : mapping of str to RustyBTError
    settle_lag : timedelta
    now : datetime
        When the source was asked.
    listings : polars.DataFrame
        What is known of when assets were listed and delisted.
    """

    request: Request
    failures: Mapping[str, RustyBTError]
    settle_lag: timedelta
    now: datetime
    listings: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LISTINGS))

    def asked(self, contents: pl.DataFrame) -> pl.DataFrame:
        """What was asked for and is settled, in the schema `ASKED`.

        Parameters
        ----------
        contents : polars.DataFrame
            Of the version that is written.
        """
        rows: dict[tuple[str, str], tuple[date, date]] = {}
        if self.request.base is not None:
            before = self.request.base.asked.rows()
            rows = {(symbol, frequency): (first, last) for symbol, frequency, first, last in before}
        by_symbol = contents.group_by("symbol").agg(pl.col("first").min(), pl.col("last").max())
        lives = {symbol: (first, last) for symbol, first, last in by_symbol.rows()}
        newest = max(last for _, last in lives.values())
        names = [str(each) for each in self.request.frequencies]
        for symbol, first, last in self._settled(lives, newest):
            for name in names:
                known = rows.get((symbol, name), (first, last))
                rows[symbol, name] = min(known[0], first), max(known[1], last)
        listed = [(*key, *span) for key, span in sorted(rows.items())]
        return pl.DataFrame(listed, schema=ASKED, orient="row")

    def _settled(
        self, lives: Mapping[str, tuple[date, date]], newest: date
    ) -> Iterator[tuple[str, date, date]]:
        """Symbol, first and last session of what was asked for; the last is before if none is."""
        asked = [
            (symbol, (first or lives[symbol][0], last or lives[symbol][1]))
            for ask in self.request.asks
            for first, last in [_bounds_of(ask, newest)]
            for symbol in lives.keys() & (set(ask.symbols) - set(self.failures))
        ]
        spans = {span for _, span in asked if span[0] <= span[1]}
        settled = settled_within(self.request.calendar, spans, self.settle_lag, self.now)
        for symbol, span in asked:
            yield symbol, span[0], settled.get(span, span[0] - _DAY)


def _bounds_of(ask: Ask, newest: date) -> tuple[date | None, date | None]:
    """First and last session of an ask that are said; what nobody has a bar of may still come."""
    first = to_session(ask.start) if ask.start is not None else None
    return first, min(to_session(ask.end), newest) if ask.end is not None else None


def require_updatable(base: Base, metadata: Any, frequencies: Sequence[Frequency]) -> None:
    """Raise unless a source can go on where the base ends.

    Raises
    ------
    OptionError
        If its bars are adjusted, or adjusted or timed otherwise than those of the base.
    """
    record = base.metadata
    if metadata.adjustment != "raw" or record.adjustment != "raw":
        raise OptionError(
            f"bundle {record.bundle_name!r} has bars adjusted for {record.adjustment} and the "
            f"source gives {metadata.adjustment} ones: only raw bars can be put together, since "
            "others change with the next event. Ingest it anew"
        )
    names = ",".join(map(str, frequencies))
    if names != record.frequency:
        raise OptionError(
            f"bundle {record.bundle_name!r} has bars of {record.frequency}, not of {names}"
        )
