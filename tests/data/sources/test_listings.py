"""What providers tell of assets themselves, in the providers' own words."""

import asyncio
import json
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest

from rustybt.data.errors import MalformedAnswerError
from rustybt.data.sources import AlphaVantageDataSource
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.alpaca import AlpacaDataSource
from rustybt.data.sources.polygon import PolygonDataSource
from tests.data.sources.answers import answering, ok

ONCE = Retries(attempts=1, wait_initial=0, wait_jitter=0)
IPO = "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\n"


def told(make, reply, symbols):
    """The listings that a source gives, and what it asked for."""

    async def run():
        async with answering(reply) as answers:
            found = await make(answers.base_url).fetch_listings(symbols)
            return found.dates.rows(), found.former.rows(), answers.targets

    return asyncio.run(run())


def massive(base_url):
    return PolygonDataSource("K", base_url=base_url, retries=ONCE)


def of_json(content, status=200):
    return status, {}, json.dumps(content).encode()


def details(**results):
    return of_json({"status": "OK", "request_id": "1", "results": results})


def massive_reply(number, target):
    """META, which was FB, and TWTR, which is no longer traded, as the provider tells of them."""
    path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
    match path.split("/")[-2:]:
        case ["META", "events"]:
            changes = [("META", "2022-06-09"), ("FB", "2012-05-18")]
            events = [
                {"ticker_change": {"ticker": name}, "type": "ticker_change", "date": day}
                for name, day in changes
            ]
            return details(name="Meta Platforms, Inc.", cik="0001326801", events=events)
        case ["tickers", "META"]:
            return details(ticker="META", market="stocks", active=True, list_date="2012-05-18")
        case ["tickers", "TWTR"] if query.get("date") == ["2022-10-27"]:
            return details(ticker="TWTR", market="stocks", active=True, list_date="2013-11-07")
        case ["reference", "tickers"] if query["ticker"] == ["TWTR"]:
            row = {"ticker": "TWTR", "active": False, "delisted_utc": "2022-10-28T04:00:00Z"}
            return of_json({"status": "OK", "count": 1, "results": [row]})
        case ["reference", "tickers"]:
            return of_json({"status": "OK", "count": 0, "results": []})
    return of_json({"status": "NOT_FOUND", "message": "Ticker not found."}, 404)


def test_massive_tells_days_and_names_of_before():
    dates, former, targets = told(massive, massive_reply, ["TWTR", "META", "NOPE"])
    assert dates == [
        ("META", "active", date(2012, 5, 18), None, "polygon"),
        ("TWTR", "delisted", date(2013, 11, 7), date(2022, 10, 28), "polygon"),
    ]
    assert former == [("META", "FB", date(2022, 6, 8))]
    assert len([target for target in targets if "META" in target]) == 2
    assert massive("http://x").listing_calls(1) == 2


@pytest.mark.parametrize("content", [b"{}", b'{"status": "OK", "results": []}'])
def test_details_that_are_none_are_malformed(content):
    with pytest.raises(MalformedAnswerError, match="not what it documents"):
        told(massive, lambda *_: ok(content), ["META"])


def test_alpaca_tells_what_is_traded():
    def asset(symbol, status):
        return {"symbol": symbol, "class": "us_equity", "status": status, "exchange": "NASDAQ"}

    listed = [asset("A", "active"), asset("A", "inactive"), asset("Z", "inactive")]
    dates, former, targets = told(
        lambda url: AlpacaDataSource("PK", "S", base_url=url, trading_url=url, retries=ONCE),
        lambda *_: of_json(listed),
        ["A", "Z", "NOPE"],
    )
    assert dates == [
        ("A", "active", None, None, "alpaca"),
        ("Z", "delisted", None, None, "alpaca"),
    ]
    assert (former, len(targets)) == ([], 1)


def test_alpha_vantage_tells_who_has_a_symbol_now_or_had_it_last():
    def reply(number, target):
        if "state=active" in target:
            return ok(f"{IPO}A,Agilent,NYSE,Stock,1999-11-18,null,Active\r\n".encode())
        rows = [
            "A,Another,NYSE,Stock,1980-01-02,1990-01-02,Delisted",
            "Z,The last,NYSE,Stock,2005-01-03,2011-11-30,Delisted",
            '"Z","The first, Inc",NYSE,Stock,1990-01-02,1999-12-31,Delisted',
            "Y,Unknown,NYSE,Stock,null,null,Delisted",
        ]
        return ok((IPO + "\r\n".join(rows) + "\r\n").encode())

    dates, _, targets = told(
        lambda url: AlphaVantageDataSource("K", base_url=url, plan="premium", retries=ONCE),
        reply,
        ["A", "Y", "Z"],
    )
    assert dates == [
        ("A", "active", date(1999, 11, 18), None, "alphavantage"),
        ("Y", "delisted", None, None, "alphavantage"),
        ("Z", "delisted", date(2005, 1, 3), date(2011, 11, 30), "alphavantage"),
    ]
    assert len(targets) == 2 == AlphaVantageDataSource("K").listing_calls(3000)
