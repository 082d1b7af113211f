"""What an ingest is told: its source and its options."""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from rustybt.data.bundles._gather import Delivery, Progress
from rustybt.data.bundles.identity import Rename
from rustybt.data.bundles.panel import Precision
from rustybt.data.errors import OptionError
from rustybt.data.listings import Listings


class Source(Protocol):
    """What ingest needs of a `rustybt.data.sources.DataSource`."""

    @property
    def is_local(self) -> bool:
        """See `DataSource`."""

    def deliver(
        self, symbols: list[str], start: Any, end: Any, frequencies: Sequence[str]
    ) -> AsyncIterator[Delivery]:
        """See `DataSource.deliver`."""

    async def revised_since(
        self, symbols: list[str], since: datetime, frequency: str
    ) -> Mapping[str, tuple[Any, Any]]:
        """See `DataSource.revised_since`."""

    async def fetch_listings(self, symbols: list[str]) -> Listings:
        """See `DataSource.fetch_listings`."""

    def listing_calls(self, symbols: int) -> int:
        """See `DataSource.listing_calls`."""

    async def list_symbols(self) -> list[str]:
        """See `DataSource.list_symbols`."""

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_needed`."""

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_shared`."""

    def calendar_of(self, symbols: Sequence[str]) -> str | None:
        """See `DataSource.calendar_of`."""

    def get_metadata(self) -> Any:
        """See `DataSource.get_metadata`."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Options:
    """How an ingest goes about it.

    Attributes
    ----------
    calendar : str or None
        Name of the market's calendar; None for the source's own, else XNYS.
    precision : {"full", "bcolz"}
        ``full`` reads back the very floats that were stored; ``bcolz`` what zipline's own
        format would return (thousandths, whole volumes).
    off_calendar : {"raise", "drop"}
        What to do with bars outside the calendar's sessions and minutes: refuse the symbol, or
        leave those bars out. Either is recorded in the coverage ledger.
    update : bool
        Put what is missing on the newest version instead of fetching all anew: the sessions after
        the last one that is settled, and symbols that it does not have.
    prepend : bool
        Put what came before on it: the sessions from `start` on.
    renames : sequence of identity.Rename
        With an update: assets that have another name from a session on; their sids stay.
    listings : bool
        Ask the source since when and until when assets were listed, and what they were called
        before; it is recorded with the assets.
    allow_partial : bool
        Whether it is all right when some of what was asked for is not there. The version of the
        rest is written in any case.
    environ : mapping
        Where ``ZIPLINE_ROOT`` is looked up.
    timestamp : datetime or None
        Ingest time; now if None.
    progress : callable or None
    clock : callable
        What tells the time, an aware datetime.
    """

    calendar: str | None = None
    precision: Precision = "full"
    off_calendar: Literal["raise", "drop"] = "raise"
    update: bool = False
    prepend: bool = False
    renames: Sequence[Rename] = ()
    listings: bool = False
    allow_partial: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    timestamp: object = None
    progress: Progress | None = None
    clock: Callable[[], datetime] = _utc_now

    def __post_init__(self) -> None:
        choices = {"precision": ("full", "bcolz"), "off_calendar": ("raise", "drop")}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise OptionError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
        if self.update and self.prepend:
            raise OptionError("an ingest updates or prepends, not both (update, prepend)")
        if self.renames and not self.update:
            raise OptionError("assets are renamed by an update (update, --update)")
