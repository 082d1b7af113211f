"""Try a source: one small request, what came of it, and what kind of failure a failure is."""

import time
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from rustybt.data.bars import DAILY, Frequency
from rustybt.data.errors import (
    AuthenticationError,
    DelistedSymbolError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    UnknownSymbolError,
)
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.data.sources.base import DataSource

#: How far back the request goes: over the longest holidays.
_DAYS = timedelta(days=14)

#: What a failure says of a provider.
_VERDICTS: dict[type[RustyBTError], str] = {
    AuthenticationError: "its credentials are missing, or it refuses them",
    RateLimitError: "it answers, and asks to wait",
    OutageError: "it cannot be reached, or fails",
    MalformedAnswerError: "it answers what cannot be read",
    UnknownSymbolError: "it answers, and has no such symbol",
    DelistedSymbolError: "it answers, and the symbol is no longer traded",
    RefusedRequestError: "it answers, and refuses the request",
}


@dataclass(frozen=True)
class Probed:
    """What a source gave for one small request.

    Attributes
    ----------
    symbol, frequency : str
        What was asked for.
    bars : int
        How many came.
    first, last : date, datetime or None
        Timestamps of the first and the last of them.
    absence : str
        Why there are none, where there are none.
    seconds : float
        How long it took.
    """

    symbol: str
    frequency: str
    bars: int
    first: date | None
    last: date | None
    absence: str
    seconds: float


async def probe(source: DataSource, symbol: str | None = None, clock: Clock = utc_now) -> Probed:
    """Ask for the bars of one symbol: of a provider, those of the last two weeks.

    Parameters
    ----------
    symbol : str, optional
        By default the source's `example_symbol`, else the first one that it lists.

    Raises
    ------
    RustyBTError
        As `DataSource.fetch` does; `verdict` says what it means.
    """
    asked = symbol or source.example_symbol or (await source.list_symbols())[0]
    has = [Frequency.parse(name) for name in source.get_metadata().frequencies]
    frequency = str(DAILY if DAILY in has else has[0])
    start: Any = None
    end: Any = None
    if source.calls_needed(1, 1, frequency):
        end = clock().date() - timedelta(days=1)
        start = end - _DAYS
    began = time.monotonic()
    fetched = await source.fetch_available([asked], start, end, frequency)
    bars = fetched.complete()
    return Probed(
        asked,
        frequency,
        len(bars),
        bars["timestamp"].min(),  # type: ignore[arg-type]
        bars["timestamp"].max(),  # type: ignore[arg-type]
        fetched.absences.get(asked, ""),
        time.monotonic() - began,
    )


def verdict(error: RustyBTError) -> str:
    """What an error says of the provider."""
    return _VERDICTS.get(type(error), "it cannot be used")
