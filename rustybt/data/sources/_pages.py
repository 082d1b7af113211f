"""Answers that come in pages: all of them, each row once, and never round and round."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import polars as pl

from rustybt.data.errors import MalformedAnswerError, RustyBTError
from rustybt.data.sources._http import Answer, Session

T = TypeVar("T")

#: How many pages in a row may bring nothing new: a provider may well send an empty one.
_IDLE = 3


@dataclass(frozen=True)
class Page:
    """One page of bars, or of a list.

    Attributes
    ----------
    rows : polars.DataFrame
    following : str
        What leads to the next page; empty on the last one.
    full : bool
        Whether the page is as long as the provider lets it be.
    delayed : bool
        Whether the provider says that it knows nothing of the last minutes.
    """

    rows: pl.DataFrame
    following: str = ""
    full: bool = False
    delayed: bool = False


async def read(
    session: Session,
    target: str,
    params: dict[str, Any],
    reader: Callable[[Answer], T],
    refusal: Callable[[Answer], RustyBTError | None],
) -> T:
    """Ask, and read the answer; one that cannot be read is asked for again.

    Parameters
    ----------
    reader : callable
        Raises `MalformedAnswerError` if it cannot read.
    refusal : callable
        The error that an answer is, or None.
    """
    found: list[T] = []

    def judge(answer: Answer) -> RustyBTError | None:
        error = refusal(answer)
        if error is None and answer.status < 300:
            found.append(reader(answer))
        return error

    await session.get(target, params, judge=judge)
    return found[-1]


async def all_pages(ask: Callable[[str], Awaitable[Page]], what: str) -> list[Page]:
    """Follow the pages from the first one, which ``""`` leads to.

    Raises
    ------
    MalformedAnswerError
        If a page leads back to an earlier one, or the pages bring nothing new and do not end.
    """
    pages: list[Page] = []
    led: set[str] = set()
    seen: set[tuple[Any, ...]] = set()
    idle, following = 0, ""
    while following or not pages:
        page = await ask(following)
        pages.append(page)
        following = page.following
        brings = _signature(page.rows)
        idle = idle + 1 if brings in seen else 0
        seen.add(brings)
        if following in led or idle > _IDLE:
            raise MalformedAnswerError(
                f"the pages of {what} lead in a circle: page {len(pages)} brings nothing new. "
                "Nothing was kept of them; ask again later"
            )
        led |= {following} if following else set()
    return pages


def once(bars: pl.DataFrame, *key: str) -> pl.DataFrame:
    """Bars sorted by `key`; rows that came twice, alike, stay once."""
    if len(bars) < 2 or _ascends(bars, *key):
        return bars
    return bars.unique().sort(*key)


def _ascends(bars: pl.DataFrame, *key: str) -> bool:
    first, *rest = (pl.col(name) for name in key)
    rises = first > first.shift()
    if rest:
        rises = rises | ((first == first.shift()) & (rest[0] > rest[0].shift()))
    return bool(bars.select(rises.slice(1).all()).item())


def _signature(rows: pl.DataFrame) -> tuple[Any, ...]:
    return (len(rows), *rows.row(0), *rows.row(-1)) if len(rows) else ()
