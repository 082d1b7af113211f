"""Corporate actions as Alpaca lists them: those that bars can be adjusted for, and the others."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events, conform_events
from rustybt.data.errors import MalformedAnswerError
from rustybt.data.sources._alpaca_answers import refusal, unreadable
from rustybt.data.sources._http import Answer, Session
from rustybt.data.sources._pages import Page, all_pages, read
from rustybt.data.sources.base import SessionRange

_PATH = "/v1/corporate-actions"
_LIMIT = 1000
#: The range asked for is of the dates on which Alpaca books an action: a dividend's is the day it
#: is paid, weeks after its ex-date.
_BEFORE, _AFTER = timedelta(days=31), timedelta(days=366)

#: Whose action it is, and on which date.
_OWNER = ("symbol", "source_symbol", "old_symbol", "acquiree_symbol")
_DATE = ("ex_date", "effective_date", "process_date")
#: What of an action stands in a note beside its owner and its date.
_TOLD = ("new_symbol", "acquirer_symbol", "rate", "new_rate", "acquirer_rate", "cash_rate")

Action = Mapping[str, Any]


async def read_events(session: Session, symbols: Collection[str], asked: SessionRange) -> Events:
    """The corporate actions of some stocks with an ex-date in a range.

    Splits, cash dividends and stock dividends are events; a spin-off is a dividend in the stock of
    the new company. Mergers, redemptions, changes of name and what else there is are told in the
    notes.
    """
    params = {
        "symbols": ",".join(sorted(symbols)),
        "start": asked.first - _BEFORE,
        "end": asked.last + _AFTER,
        "limit": _LIMIT,
        "sort": "asc",
    }
    found: dict[str, list[Action]] = {}

    async def ask(token: str) -> Page:
        more = {"page_token": token} if token else {}
        actions, page = await read(session, _PATH, {**params, **more}, _read_page, refusal)
        for kind, rows in actions.items():
            found.setdefault(kind, []).extend(rows)
        return page

    await all_pages(ask, "corporate actions at Alpaca")
    return events_of(found, symbols, asked)


def _read_page(answer: Answer) -> tuple[dict[str, list[Action]], Page]:
    body = answer.json()
    actions = body.get("corporate_actions") if isinstance(body, Mapping) else None
    if not isinstance(actions, Mapping) or not all(map(_is_table, actions.values())):
        raise unreadable(answer)
    told = [str(row) for rows in actions.values() for row in rows]
    return dict(actions), Page(pl.DataFrame({"row": told}), body.get("next_page_token") or "")


def _is_table(rows: Any) -> bool:
    return isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows)


def events_of(
    actions: Mapping[str, Sequence[Action]], symbols: Collection[str], asked: SessionRange
) -> Events:
    """Alpaca's lists, by kind, as events; rows that came twice, alike, stay once.

    Raises
    ------
    MalformedAnswerError
        If an action lacks what its kind has.
    """
    rows: dict[str, list[Action]] = {"splits": [], "dividends": [], "stock_dividends": []}
    notes = []
    for kind, listed in actions.items():
        for action in {str(each): each for each in listed}.values():
            owner, day = _owner_and_date(kind, action)
            if owner not in symbols or not asked.first <= day <= asked.last:
                continue
            if kind in _EVENTS:
                name, build = _EVENTS[kind]
                rows[name].append(_built(kind, build, action))
            else:
                notes.append(_note(kind, owner, day, action))
    frames: dict[str, Any] = {name: _frame(name, listed) for name, listed in rows.items()}
    return Events(**frames, notes=tuple(notes))


def _owner_and_date(kind: str, action: Action) -> tuple[str, date]:
    try:
        owner = next(action[name] for name in _OWNER if action.get(name))
        return owner, date.fromisoformat(next(action[name] for name in _DATE if action.get(name)))
    except (StopIteration, TypeError, ValueError):
        raise MalformedAnswerError(
            f"Alpaca lists {kind} without a symbol or a true date: {dict(action)}"
        ) from None


def _built(kind: str, build: Callable[[Action], Action], action: Action) -> Action:
    try:
        return build(action)
    except (KeyError, TypeError, ZeroDivisionError):
        raise MalformedAnswerError(
            f"Alpaca lists {kind} without their rates: {dict(action)}"
        ) from None


def _split(action: Action) -> Action:
    return {
        "symbol": action["symbol"],
        "ex_date": action["ex_date"],
        "ratio": action["old_rate"] / action["new_rate"],
    }


def _cash_dividend(action: Action) -> Action:
    return _paid(action, action["symbol"]) | {"amount": action["rate"]}


def _stock_dividend(action: Action) -> Action:
    symbol = action["symbol"]
    return _paid(action, symbol) | {"payment_symbol": symbol, "ratio": action["rate"]}


def _spin_off(action: Action) -> Action:
    return _paid(action, action["source_symbol"]) | {
        "payment_symbol": action["new_symbol"],
        "ratio": action["new_rate"] / action["source_rate"],
    }


def _paid(action: Action, symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "ex_date": action["ex_date"],
        "record_date": action.get("record_date"),
        "pay_date": action.get("payable_date"),
    }


#: What is an event: Alpaca's list -> kind of event, and how one is read.
_EVENTS: Mapping[str, tuple[str, Callable[[Action], Action]]] = {
    "forward_splits": ("splits", _split),
    "reverse_splits": ("splits", _split),
    "cash_dividends": ("dividends", _cash_dividend),
    "stock_dividends": ("stock_dividends", _stock_dividend),
    "spin_offs": ("stock_dividends", _spin_off),
}


def _frame(kind: str, rows: Sequence[Action]) -> pl.DataFrame:
    dates = [name for name, dtype in EVENT_SCHEMAS[kind].items() if dtype == pl.Date]
    schema = {**EVENT_SCHEMAS[kind], **dict.fromkeys(dates, pl.String())}
    try:
        frame = pl.DataFrame(rows, schema=schema).with_columns(
            pl.col(dates).str.to_date("%Y-%m-%d")
        )
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise MalformedAnswerError(f"Alpaca's {kind} cannot be read: {error}") from error
    return conform_events(kind, frame.unique() if kind == "splits" else frame)


def _note(kind: str, owner: str, day: date, action: Action) -> str:
    told = ", ".join(f"{name} {action[name]}" for name in _TOLD if action.get(name) is not None)
    words = kind.replace("_", " ").removesuffix("s")
    return f"{owner}: {words} on {day}{f' ({told})' * bool(told)} is no event: nothing follows it."
