"""What goes wrong at providers, by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """Something that goes wrong between a provider and a source."""

    SHORT_PAGE = "pages with half of the rows that were asked for, and more to come"
    EMPTY_PAGE = "a page without rows, and more to come"
    DUPLICATE_ROW = "pages that begin with the last row of the page before"
    DUPLICATE_PAGE = "a page that comes twice"
    REVERSED_PAGE = "pages with the latest row first"
    STUCK_CURSOR = "a next page that is the same page, for ever"
    DUPLICATE_SPLIT = "a split that is told twice"
    ERROR_BODY = "status 200, and an error in the body"
    RATE_LIMITED = "status 429"
    RETRY_AT_ONCE = "status 429, and leave to ask again at once"
    RETRY_TOMORROW = "status 429, and a day to wait"
    UNAUTHORISED = "status 401"
    OUTAGE = "status 503"
    SLOW_BODY = "a body that arrives in many pieces"
    STALLED_BODY = "half a body, and then silence"
    CUT_BODY = "half a body, and then the connection is closed"
    TRUNCATED_BODY = "half a body that says that it is whole"
    HTML_BODY = "a page for people, with status 200"
    EMPTY_BODY = "no body, with status 200"

    def __repr__(self) -> str:
        return self.name


#: Faults of pages, which strike where a provider cuts one.
PAGE_FAULTS = {
    Fault.SHORT_PAGE,
    Fault.EMPTY_PAGE,
    Fault.DUPLICATE_ROW,
    Fault.DUPLICATE_PAGE,
    Fault.REVERSED_PAGE,
    Fault.STUCK_CURSOR,
}
#: Faults of whole answers, which strike every request about a symbol.
BODY_FAULTS = set(Fault) - PAGE_FAULTS - {Fault.DUPLICATE_SPLIT}


class Scene(Enum):
    """Something that not every provider has, and that is tried where it has."""

    PAGES = "long answers come in pages"
    INTRADAY = "there are intraday bars"
    EVENTS = "there are splits and dividends"
    DELISTED = "a delisted symbol is told from one without trades"

    def __repr__(self) -> str:
        return self.name


#: Seconds of `Fault.RETRY_TOMORROW`.
A_DAY = 86_400


@dataclass(frozen=True)
class Injection:
    """Where a fault strikes.

    Attributes
    ----------
    fault : Fault
    symbol : str or None
        Whose requests; None for all symbols'.
    first, last : int or None
        Which of a symbol's requests, counted from 1, both included; None for no end.
    """

    fault: Fault
    symbol: str | None = None
    first: int = 1
    last: int | None = None

    def strikes(self, symbol: str, ordinal: int) -> bool:
        """Whether it strikes the request of this number of a symbol."""
        return (
            self.symbol in (None, symbol)
            and self.first <= ordinal
            and (self.last is None or ordinal <= self.last)
        )


def striking(injections: Sequence[Injection], symbol: str, ordinal: int) -> Fault | None:
    """The fault of a request, if there is one."""
    found = (each.fault for each in injections if each.strikes(symbol, ordinal))
    return next(found, None)
