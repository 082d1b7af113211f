"""A request for bars to a cache, and what an answer to it becomes in the store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

import polars as pl

from rustybt.data.bars import Frequency, empty_bars
from rustybt.data.sources._cache_plan import spans_to_store
from rustybt.data.sources._cached_provenance import payload_of
from rustybt.data.sources._fetched import Fetched
from rustybt.data.sources._intervals import Interval
from rustybt.data.sources._store import microseconds
from rustybt.data.sources._store_index import Series, Span
from rustybt.data.sources._store_segments import Part
from rustybt.data.sources._time_axis import Known, has_session, known_at, within
from rustybt.data.sources.base import DataSourceMetadata
from rustybt.data.sources.freshness import CacheFreshnessPolicy

#: Before every label: of bars that are rewritten by each new event, none is ever final.
_NEVER_FINAL = -(10**12)
#: Why a symbol has no bars, when its source does not say.
NO_BARS = "no bars in the range asked for"


@dataclass(frozen=True)
class BarRequest:
    """Some symbols of one series, and the labels asked for.

    Attributes
    ----------
    series : Series
    symbols : list of str
        Distinct, sorted.
    asked : Interval
    frequency : Frequency
    policy : CacheFreshnessPolicy
    calendar : str or None
    settle_lag : timedelta
    adjusted : bool
        Whether the source rewrites its history at each event.
    finer : tuple of Frequency
        That bars may be derived from.
    """

    series: Series
    symbols: list[str]
    asked: Interval
    frequency: Frequency
    policy: CacheFreshnessPolicy
    calendar: str | None
    settle_lag: timedelta
    adjusted: bool
    finer: tuple[Frequency, ...] = ()

    def known(self, now: datetime) -> Known:
        """What has ended and what is final by now."""
        known = known_at(now, self.frequency, self.calendar, self.settle_lag)
        return replace(known, final=_NEVER_FINAL) if self.adjusted else known

    def may_have_bars(self, interval: Interval) -> bool:
        """Whether there is a session in an interval of days; minutes may always have bars."""
        return self.frequency.intraday or has_session(interval, self.calendar)


def series_of(metadata: DataSourceMetadata, frequency: str) -> Series:
    """The series of a source at a frequency."""
    return Series(
        metadata.fingerprint, frequency, metadata.source_type, metadata.adjustment, metadata.feed
    )


def fresh_at(policy: CacheFreshnessPolicy, now: datetime) -> Callable[[Span], bool]:
    """What says of a span whether it may be served now; spans of one answer are judged once."""
    import pandas as pd

    @cache
    def is_fresh(fetched: int) -> bool:
        cached = pd.Timestamp(fetched, unit="us", tz="UTC")
        return policy.is_fresh(cached, pd.Timestamp(now))

    return lambda span: is_fresh(span.fetched)


def bar_parts(
    request: BarRequest, asked: Interval, symbols: Sequence[str], got: Fetched, asked_at: datetime
) -> list[Part]:
    """An answer as it is stored."""
    known = request.known(asked_at)
    by_symbol = got.bars.partition_by("symbol", as_dict=True)
    parts = []
    for symbol in symbols:
        bars = by_symbol.get((symbol,), empty_bars(request.frequency))
        reason = got.absences.get(symbol, NO_BARS)
        for span in spans_to_store(symbol, asked, known, microseconds(asked_at)):
            own = inside(bars, span.interval)
            if own.is_empty():
                parts.append(Part(replace(span, reason=reason)))
            else:
                told = payload_of(got.provenance, span)
                parts.append(Part(replace(span, payload=told), own))
    return parts


def inside(bars: pl.DataFrame, interval: Interval) -> pl.DataFrame:
    """The bars in an interval of the time axis."""
    return bars.filter(within(bars["timestamp"], interval))
