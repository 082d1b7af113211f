"""Splits and dividends of Massive."""

import asyncio
import json
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest

from rustybt.data.errors import BarValidationError, MalformedAnswerError
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.polygon import PolygonDataSource
from tests.data.sources.answers import answering, ok
from tests.data.sources.recorded import needs_recordings, recorded

FIRST, LAST = date(2020, 1, 1), date(2020, 12, 31)
AT_ONCE = Retries(attempts=1)


def listing(*rows, **more):
    return ok(json.dumps({"status": "OK", "results": rows, **more}).encode())


def split(ticker="A", day="2020-08-31", before=1, after=4, **more):
    return {
        "ticker": ticker, "execution_date": day, "split_from": before, "split_to": after, **more
    }  # fmt: skip


def dividend(ticker="A", day="2020-08-07", amount=0.82, currency="USD", **more):
    return {
        "ticker": ticker,
        "ex_dividend_date": day,
        "cash_amount": amount,
        "currency": currency,
        **more,
    }


def serving(splits=(), dividends=(), at="/stocks/v1"):
    def reply(number, target):
        path = urlsplit(target).path
        if not path.startswith(at):
            return 404, {}, b'{"status":"NOT_FOUND","message":"Not found"}'
        asked = parse_qs(urlsplit(target).query)
        wanted = (asked.get("ticker.any_of") or asked["ticker"])[0].split(",")
        rows = splits if path.endswith("splits") else dividends
        return listing(*(row for row in rows if row["ticker"] in wanted))

    return reply


def asked(reply, symbols=("A",), first=FIRST, last=LAST):
    """The events of some symbols, and the requests that they took."""

    async def run():
        async with answering(reply) as answers:
            source = PolygonDataSource("K", base_url=answers.base_url, retries=AT_ONCE)
            return await source.fetch_events(list(symbols), first, last), answers.targets

    return asyncio.run(run())


def events(reply, *symbols):
    return asked(reply, symbols or ("A",))[0]


@pytest.mark.parametrize(("before", "after", "ratio"), [(1, 4, 0.25), (10, 1, 10.0), (3, 4, 0.75)])
def test_a_split_is_what_earlier_prices_are_multiplied_by(before, after, ratio):
    found = events(serving([split(before=before, after=after)]))
    assert found.splits.rows() == [("A", date(2020, 8, 31), ratio)]


def test_a_stock_dividend_is_a_split_as_the_provider_has_it():
    rows = [split(before=100, after=105, adjustment_type="stock_dividend")]
    assert events(serving(rows)).splits["ratio"].to_list() == [100 / 105]


def test_a_split_told_twice_is_one_split():
    assert len(events(serving([split(id="S1"), split(id="S1")])).splits) == 1


def test_a_dividend_has_its_dates():
    dates = {
        "declaration_date": "2020-07-30", "record_date": "2020-08-10", "pay_date": "2020-08-13"
    }  # fmt: skip
    found = events(serving(dividends=[dividend(**dates)]))
    days = [date(2020, 7, 30), date(2020, 8, 10), date(2020, 8, 13)]
    assert found.dividends.rows() == [("A", date(2020, 8, 7), 0.82, *days)]


def test_a_regular_and_a_special_dividend_of_one_day_are_two():
    rows = [
        dividend(distribution_type="recurring", id="1"),
        dividend(distribution_type="special", id="2"),
    ]
    assert events(serving(dividends=rows)).dividends["amount"].to_list() == [0.82, 0.82]


@pytest.mark.parametrize(("amount", "currency"), [(0.5, "CAD"), (0.0, "USD")])
def test_a_dividend_that_is_no_amount_in_dollars_is_told(amount, currency):
    found = events(serving(dividends=[dividend(amount=amount, currency=currency)]))
    assert found.dividends.is_empty()
    assert found.notes == (
        f"The dividend of A on 2020-08-07 is left out: {amount} {currency} is no amount in USD.",
    )


def test_a_dividend_without_a_currency_is_in_dollars():
    assert len(events(serving(dividends=[dividend(currency=None)])).dividends) == 1


def test_the_events_of_many_tickers_take_few_requests():
    symbols = [f"S{number:03}" for number in range(100)]
    found, targets = asked(serving([split(symbol) for symbol in symbols]), symbols)
    assert found.splits["symbol"].to_list() == symbols
    assert len(targets) == 2 * 8


def test_only_what_was_asked_for_is_returned():
    rows = [split("B"), split(day="2019-08-31"), split()]
    found, _ = asked(lambda number, target: listing(*rows) if "split" in target else listing())
    assert found.splits.rows() == [("A", date(2020, 8, 31), 0.25)]


def test_a_host_with_the_older_lists_is_asked_for_these():
    older = serving([split("A"), split("B")], [dividend("B")], at="/v3/reference")
    found, targets = asked(older, ["A", "B"])
    assert (len(found.splits), len(found.dividends)) == (2, 1)
    lists = sorted(urlsplit(target).path for target in targets if "/v3/" in target)
    assert lists == ["/v3/reference/dividends"] * 2 + ["/v3/reference/splits"] * 2


def test_crypto_has_no_events_and_takes_no_requests():
    found, targets = asked(serving(), ["X:BTCUSD", "C:EURUSD"])
    assert len(found) == 0
    assert targets == []


@pytest.mark.parametrize(
    "row", [split(day="soon"), split(day=None), {"ticker": "A", "execution_date": "2020-08-31"}]
)
def test_a_split_that_cannot_be_read_is_an_error(row):
    with pytest.raises((MalformedAnswerError, BarValidationError)):
        events(lambda number, target: listing(row) if "split" in target else listing())


@needs_recordings
def test_recorded_lists_are_read():
    lists = {name: recorded(f"responses/massive/{name}.json") for name in ("splits", "dividends")}

    def reply(number, target):
        return ok(lists["splits" if "splits" in target else "dividends"])

    found, _ = asked(reply, ["GOOGL", "BRW", "CSSEN"], last=date(2025, 12, 31))
    assert found.splits.rows() == [
        ("BRW", date(2022, 5, 20), 2.0),
        ("GOOGL", date(2022, 7, 18), 0.05),
    ]
    assert found.dividends["amount"].to_list() == [0.59375] * 8
