"""How a cache did: counted, never estimated."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class CacheStats:
    """Requests to a cache and what they took.

    Attributes
    ----------
    hits : int
        Requests that were answered without asking the source.
    misses : int
        Requests for which the source was asked, for all or for a part.
    fetches : int
        Calls of the source's `fetch`.
    failures : int
        Symbols that the source could not be asked for.
    stale : int
        Symbols that were answered with bars older than their policy allows, as was asked for.
    rows_from_cache, rows_fetched : int
        Bars.
    evictions : int
        Segments that were removed to keep the size.
    """

    hits: int = 0
    misses: int = 0
    fetches: int = 0
    failures: int = 0
    stale: int = 0
    rows_from_cache: int = 0
    rows_fetched: int = 0
    evictions: int = 0

    @property
    def requests(self) -> int:
        """All requests."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """Share of the requests that were hits, 0 to 1; 0 if there were none."""
        return self.hits / self.requests if self.requests else 0.0

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "CacheStats":
        """Of counters by name; names that are no field are left out."""
        return cls(**{each.name: counts.get(each.name, 0) for each in fields(cls)})


class Tally:
    """Counters of one cached source; `CacheStats` is what they say."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to the counters."""
        self._counts.update(counts)

    @property
    def stats(self) -> CacheStats:
        """What was counted so far."""
        return CacheStats.of(self._counts)
