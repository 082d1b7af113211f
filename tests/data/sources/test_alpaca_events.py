"""Corporate actions of Alpaca."""

import asyncio
import json
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest

from rustybt.data.errors import MalformedAnswerError
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.alpaca import AlpacaDataSource
from tests.data.sources.answers import answering, ok

FIRST, LAST = date(2023, 1, 1), date(2023, 12, 31)
DATES = {"record_date": "2023-05-05", "payable_date": "2023-05-19", "process_date": "2023-05-19"}
DIVIDEND = {"symbol": "A", "ex_date": "2023-05-04", "rate": 0.125, "special": False, **DATES}


def page(token=None, **actions):
    return ok(json.dumps({"corporate_actions": actions, "next_page_token": token}).encode())


def asked(reply, *symbols):
    """The events of some symbols, and the requests that they took."""

    async def run():
        async with answering(reply) as answers:
            source = AlpacaDataSource(
                "PK1",
                "S3CRET",
                base_url=answers.base_url,
                requests_per_minute=None,
                retries=Retries(attempts=1),
            )
            return await source.fetch_events(list(symbols), FIRST, LAST), answers.targets

    return asyncio.run(run())


def events(**actions):
    return asked(lambda *_: page(**actions), "A")[0]


@pytest.mark.parametrize(
    ("kind", "before", "after", "ratio"), [("forward", 1, 4, 0.25), ("reverse", 50, 1, 50.0)]
)
def test_a_split_is_what_earlier_prices_are_multiplied_by(kind, before, after, ratio):
    split = {"symbol": "A", "ex_date": "2023-08-24", "old_rate": before, "new_rate": after}
    found = events(**{f"{kind}_splits": [split, {**split}]})
    assert found.splits.rows() == [("A", date(2023, 8, 24), ratio)]


def test_a_dividend_has_its_dates():
    dates = (None, date(2023, 5, 5), date(2023, 5, 19))
    found = events(cash_dividends=[DIVIDEND])
    assert found.dividends.rows() == [("A", date(2023, 5, 4), 0.125, *dates)]


def test_a_regular_and_a_special_dividend_of_one_day_are_two():
    found = events(cash_dividends=[DIVIDEND, {**DIVIDEND, "special": True}])
    assert found.dividends["amount"].to_list() == [0.125, 0.125]


def test_a_stock_dividend_is_paid_in_the_stock_itself():
    found = events(stock_dividends=[{**DIVIDEND, "rate": 0.05}])
    dates = (None, date(2023, 5, 5), date(2023, 5, 19))
    assert found.stock_dividends.rows() == [("A", date(2023, 5, 4), "A", 0.05, *dates)]


def test_a_spin_off_is_a_dividend_in_the_new_stock():
    spin_off = {
        "source_symbol": "A",
        "source_rate": 20,
        "new_symbol": "SRM",
        "new_rate": 1,
        "ex_date": "2023-08-15",
    }
    found = events(spin_offs=[spin_off])
    assert found.stock_dividends.select("ex_date", "payment_symbol", "ratio").rows() == [
        (date(2023, 8, 15), "SRM", 0.05)
    ]


@pytest.mark.parametrize(
    ("kind", "action", "note"),
    [
        (
            "cash_mergers",
            {"acquiree_symbol": "A", "effective_date": "2023-07-17", "rate": 5.37},
            "A: cash merger on 2023-07-17 (rate 5.37) is no event: nothing follows it.",
        ),
        (
            "stock_and_cash_mergers",
            {
                "acquiree_symbol": "A", "acquirer_symbol": "FRBA", "acquirer_rate": 0.77,
                "cash_rate": 7.8, "effective_date": "2023-07-18",
            },
            ("A: stock and cash merger on 2023-07-18 (acquirer_symbol FRBA, acquirer_rate 0.77, "
            "cash_rate 7.8) is no event: nothing follows it."),
        ),
        (
            "name_changes",
            {"old_symbol": "A", "new_symbol": "VFS", "process_date": "2023-08-15"},
            "A: name change on 2023-08-15 (new_symbol VFS) is no event: nothing follows it.",
        ),
        (
            "worthless_removals",
            {"symbol": "A", "process_date": "2023-10-11"},
            "A: worthless removal on 2023-10-11 is no event: nothing follows it.",
        ),
    ],
)  # fmt: skip
def test_what_no_event_can_hold_is_told(kind, action, note):
    found = events(**{kind: [action]})
    assert len(found) == 0
    assert found.notes == (note,)


def test_the_range_is_of_ex_dates_although_alpaca_s_is_of_payments():
    late = {**DIVIDEND, "ex_date": "2023-12-29", "process_date": "2024-01-15"}
    early = {**DIVIDEND, "ex_date": "2022-12-30", "process_date": "2023-01-13"}
    found, targets = asked(lambda *_: page(cash_dividends=[early, late]), "A")
    assert found.dividends["ex_date"].to_list() == [date(2023, 12, 29)]
    assert parse_qs(urlsplit(targets[0]).query)["end"][0] >= "2024-03-01"


def test_actions_of_others_are_left_out():
    assert len(events(cash_dividends=[{**DIVIDEND, "symbol": "B"}])) == 0


def test_pages_and_many_symbols_take_few_requests():
    pages = [
        page("QQ==", cash_dividends=[DIVIDEND]),
        page(cash_dividends=[{**DIVIDEND, "symbol": "B"}]),
    ]
    found, targets = asked(lambda number, _: pages[number - 1], "A", "B")
    assert found.dividends["symbol"].to_list() == ["A", "B"]
    assert urlsplit(targets[0]).path == "/v1/corporate-actions"
    assert parse_qs(urlsplit(targets[1]).query)["page_token"] == ["QQ=="]


def test_crypto_has_no_events_and_takes_no_requests():
    found, targets = asked(lambda *_: page(), "BTC/USD")
    assert len(found) == 0
    assert targets == []


@pytest.mark.parametrize(
    "reply",
    [
        ok(b"{}"),
        ok(b'{"corporate_actions":{"forward_splits":{}},"next_page_token":null}'),
        page(forward_splits=[{"symbol": "A", "ex_date": "2023-08-24", "new_rate": 4}]),
        page(
            forward_splits=[{"symbol": "A", "ex_date": "2023-08-24", "new_rate": 0, "old_rate": 1}]
        ),
        page(cash_dividends=[{**DIVIDEND, "ex_date": "soon"}]),
        page(cash_dividends=[{**DIVIDEND, "rate": "much"}]),
        page(cash_dividends=[{"rate": 1.0, "ex_date": "2023-08-24"}]),
        page(cash_dividends=[{**DIVIDEND, "payable_date": "2023-02-30"}]),
    ],
)
def test_an_action_that_cannot_be_read_is_an_error(reply):
    with pytest.raises(MalformedAnswerError, match="Alpaca"):
        asked(lambda *_: reply, "A")
