"""What a cache serves and what it fetches: pure functions on spans, handed the time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rustybt.data.sources._intervals import Interval, subtract
from rustybt.data.sources._store import Held
from rustybt.data.sources._store_index import Span
from rustybt.data.sources._time_axis import Known

#: Whether a span that is not final may be served.
IsFresh = Callable[[Span], bool]
#: Whether an interval can have bars at all.
MayHaveBars = Callable[[Interval], bool]


@dataclass(frozen=True)
class Plan:
    """How a request is answered.

    Attributes
    ----------
    serve : list of Span
        From the store, by symbol and time.
    fetch : mapping of Interval to list of str
        From the source: one call an interval, for all symbols that lack it.
    """

    serve: list[Span]
    fetch: Mapping[Interval, list[str]]

    @property
    def symbols(self) -> list[str]:
        """Symbols of which something is fetched, sorted."""
        return sorted({symbol for symbols in self.fetch.values() for symbol in symbols})


def plan(
    held: Held,
    symbols: Sequence[str],
    asked: Interval,
    known: Known,
    is_fresh: IsFresh,
    may_have_bars: MayHaveBars,
) -> Plan:
    """Serve what is final or fresh, and fetch exactly the rest.

    No bar after `known.ended` can be there. A symbol that the source never answered for is asked
    for in any case: it may not exist.
    """
    serve = [span for span in held.spans if span.final or is_fresh(span)]
    covered: dict[str, list[Interval]] = defaultdict(list)
    for span in serve:
        covered[span.symbol].append(span.interval)
    past = Interval(asked.first, min(asked.last, known.ended))
    fetch: dict[Interval, list[str]] = defaultdict(list)
    for symbol in symbols:
        if symbol not in held.known:
            fetch[asked].append(symbol)
            continue
        for missing in subtract(past, covered[symbol]):
            if may_have_bars(missing):
                fetch[missing].append(symbol)
    return Plan(serve, dict(fetch))


def spans_to_store(symbol: str, asked: Interval, known: Known, fetched: int) -> list[Span]:
    """An answer as spans: what is final by now, and what may still be revised."""
    parts = [
        (Interval(asked.first, min(asked.last, known.final)), True),
        (Interval(max(asked.first, known.final + 1), min(asked.last, known.ended)), False),
    ]
    return [
        Span(symbol, *interval, fetched, is_final)
        for interval, is_final in parts
        if interval.first <= interval.last
    ]


def reasons(spans: Iterable[Span]) -> dict[str, dict[str, None]]:
    """Why there are no bars, as the spans of each symbol say: distinct texts, in order."""
    told: dict[str, dict[str, None]] = defaultdict(dict)
    for span in spans:
        if span.reason:
            told[span.symbol].setdefault(span.reason)
    return told
