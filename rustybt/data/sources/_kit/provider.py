"""A provider of the world's bars, for a loopback server: what the author of an adapter writes."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.sources._kit.faults import A_DAY, BODY_FAULTS, Fault
from rustybt.data.sources._kit.world import World


@dataclass(frozen=True)
class Request:
    """What a client asks.

    Attributes
    ----------
    method, path : str
        The path is decoded.
    query : mapping of str to str
        Decoded; the last value of a repeated name.
    headers : mapping of str to str
        Names in lower case.
    body : bytes
    symbol : str or None
        Whose data it asks for, as `Provider.symbol_of` reads it.
    ordinal : int
        Which request of that symbol it is, from 1.
    fault : Fault or None
        What goes wrong with it.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    symbol: str | None = None
    ordinal: int = 0
    fault: Fault | None = None


@dataclass(frozen=True)
class Reply:
    """What a provider answers."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/plain"})

    @classmethod
    def of_json(cls, content: Any, status: int = 200, **headers: str) -> "Reply":
        """A JSON document."""
        body = json.dumps(content).encode()
        return cls(body, status, {"Content-Type": "application/json", **headers})


@dataclass(frozen=True)
class Page:
    """Some rows of a longer answer.

    Attributes
    ----------
    rows : polars.DataFrame
    next : str or None
        The cursor of the next page; None on the last one.
    """

    rows: pl.DataFrame
    next: str | None


class Provider(ABC):
    """Renders a `World` in the format of a real provider.

    Write `respond` and `symbol_of`; override `error_body` where the provider has a format for
    errors, and `error` where it says them in another way than by status.

    Attributes
    ----------
    world : World
        May be replaced between requests.
    page_size : int
        Rows of a page at most; the suite makes it small.
    secret : str
        The credential that sources are made with. Errors say it, as careless providers do.
    struck : set of Fault
        The faults that have happened.
    """

    page_size: int = 10_000
    secret: ClassVar[str] = "s3cret-0f-the-user"  # noqa: S105  made up

    def __init__(self, world: World) -> None:
        self.world = world
        self.struck: set[Fault] = set()

    @abstractmethod
    def respond(self, request: Request) -> Reply:
        """Answer from the world; the faults of bodies are added afterwards."""

    @abstractmethod
    def symbol_of(self, request: Request) -> str | None:
        """Whose data is asked for, in the source's spelling; None for anything else, which works
        always: a list of markets, a login."""

    def page(self, request: Request, rows: pl.DataFrame, limit: int, cursor: str = "") -> Page:
        """Cut a page from an answer, with the faults of pages.

        Parameters
        ----------
        request : Request
        rows : polars.DataFrame
            All of the answer, in its order.
        limit : int
            Rows that the client wants at most; the page is no longer than `page_size`.
        cursor : str
            Of the previous page, as it was given; empty for the first. Where the provider pages
            by time, the position of the first row that is wanted.
        """
        at, again = int(cursor.rstrip("~") or 0), cursor.endswith("~")
        size = min(limit, self.page_size)
        fault = self._page_fault(request, at, size, again)
        match fault:
            case Fault.EMPTY_PAGE:
                return Page(rows.clear(), f"{at}~")
            case Fault.DUPLICATE_PAGE:
                return Page(rows[max(0, at - size) : at], f"{at}~")
            case Fault.STUCK_CURSOR:
                return Page(rows[at : at + size], cursor or "0")
            case Fault.SHORT_PAGE:
                size //= 2
            case Fault.DUPLICATE_ROW:
                at -= 1
        cut = rows[at : at + size]
        after = str(at + size) if at + size < len(rows) else None
        return Page(cut.reverse() if fault is Fault.REVERSED_PAGE else cut, after)

    def _page_fault(self, request: Request, at: int, size: int, again: bool) -> Fault | None:
        """The request's fault, if it can happen to the page at this row."""
        fault = request.fault
        possible = {
            Fault.SHORT_PAGE: size > 1,
            Fault.REVERSED_PAGE: size > 1,
            Fault.DUPLICATE_ROW: at > 0 and size > 1,
            Fault.EMPTY_PAGE: at > 0 and not again,
            Fault.DUPLICATE_PAGE: at > 0 and not again,
            Fault.STUCK_CURSOR: True,
        }
        if fault is None or not possible.get(fault, False):
            return None
        self.struck.add(fault)
        return fault

    def events_of(self, request: Request, symbol: str) -> Events:
        """The events of a symbol, with the faults of events."""
        own = self.world.events_of(symbol)
        if request.fault is not Fault.DUPLICATE_SPLIT or own.splits.is_empty():
            return own
        self.struck.add(Fault.DUPLICATE_SPLIT)
        return replace(own, splits=pl.concat([own.splits, own.splits]))

    def error(self, request: Request) -> Reply:
        """How the provider says that `request.fault` happened."""
        status, headers = _STATUSES[request.fault]
        return Reply.of_json(self.error_body(request, status), status, **headers)

    def error_body(self, request: Request, status: int) -> Any:
        """What an error looks like, as JSON."""
        return {"error": f"status {status} for {request.path}, key {self.secret}"}

    def answer(self, request: Request) -> Reply:
        """What is sent for a request."""
        if request.fault in BODY_FAULTS:
            self.struck.add(request.fault)
        if request.fault in _STATUSES:
            return self.error(request)
        reply = self.respond(request)
        match request.fault:
            case Fault.TRUNCATED_BODY:
                return replace(reply, body=reply.body[: len(reply.body) // 2])
            case Fault.EMPTY_BODY:
                return replace(reply, body=b"")
            case Fault.HTML_BODY:
                page = f"<html><body>Just a moment... {self.secret}</body></html>"
                return Reply(page.encode(), 200, {"Content-Type": "text/html"})
        return reply


_STATUSES: dict[Fault | None, tuple[int, dict[str, str]]] = {
    Fault.ERROR_BODY: (200, {}),
    Fault.RATE_LIMITED: (429, {}),
    Fault.RETRY_AT_ONCE: (429, {"Retry-After": "0"}),
    Fault.RETRY_TOMORROW: (429, {"Retry-After": str(A_DAY)}),
    Fault.UNAUTHORISED: (401, {}),
    Fault.OUTAGE: (503, {}),
}
