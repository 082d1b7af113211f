"""Alpaca: what its answers mean. That every answer arrives whole is the kit's subject."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from rustybt.data.bundles import open_bundle
from rustybt.data.errors import (
    AuthenticationError,
    DelistedSymbolError,
    MalformedAnswerError,
    OptionError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    UnknownSymbolError,
)
from rustybt.data.sources._alpaca_assets import absence
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.alpaca import AlpacaDataSource
from tests.data.sources.answers import answering, ok
from tests.data.sources.trading_day import between, local, minutes, on_the_clock

DAY, SHORT_DAY = date(2020, 11, 25), date(2020, 11, 27)
LATER = datetime(2021, 1, 4, tzinfo=UTC)
UNITS = {"Min": timedelta(minutes=1), "Hour": timedelta(hours=1)}
AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


def body(bars, token=None):
    """Rows (start, open, high, low, close, volume) by symbol, as Alpaca answers with them."""
    rows = {
        symbol: [
            {"t": f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "o": o, "h": h, "l": low, "c": c,
             "v": v, "n": 1, "vw": c}
            for start, o, h, low, c, v in listed
        ]
        for symbol, listed in bars.items()
    }  # fmt: skip
    return ok(json.dumps({"bars": rows, "next_page_token": token}).encode())


def asset(status, symbol="A"):
    return ok(json.dumps({"symbol": symbol, "class": "us_equity", "status": status}).encode())


def said(message, status=200, **headers):
    return status, headers, json.dumps({"code": 40010001, "message": message}).encode()


def query(target):
    return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}


def serving(*rows, symbol="A"):
    """The rows (minutes, or hours) in any multiple of the clock."""

    def reply(number, target):
        asked = query(target)
        unit = next(unit for unit in UNITS if asked["timeframe"].endswith(unit))
        bars = on_the_clock(rows, int(asked["timeframe"].removesuffix(unit)) * UNITS[unit])
        first, last = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))
        return body({symbol: [bar for bar in bars if first <= bar[0] <= last]})

    return reply


def asking(reply, ask, **options):
    """What `ask` gets from a source whose provider replies so, and the requests that it took."""

    async def run():
        async with answering(reply) as answers:
            urls = {"base_url": answers.base_url, "trading_url": answers.base_url}
            pace = {"requests_per_minute": None, "retries": AT_ONCE, "clock": lambda: LATER}
            source = AlpacaDataSource("PK1", "S3CRET", **{**urls, **pace, **options})
            return await ask(source), answers

    return asyncio.run(run())


def bars_of(reply, symbol="A", start=DAY, end=DAY, frequency="1d", **options):
    found, _ = asking(reply, lambda it: it.fetch([symbol], start, end, frequency), **options)
    return found.drop("symbol").rows()


def day_bar(day, close=10.0):
    return (local(day, "00:00"), 10.0, 11.0, 9.0, close, 100.0)


# What is asked for


def test_raw_bars_of_a_feed_are_asked_for_and_the_keys_stand_in_headers():
    request = ["A", "B/C"], DAY, SHORT_DAY, "1d"
    fetched, answers = asking(
        lambda number, target: body({"A": [day_bar(DAY)]} if "stocks" in target else {}),
        lambda it: it.fetch_available(["A"], *request[1:]),
        feed="iex",
        asof="2021-01-01",
    )
    assert len(fetched.bars) == 1
    assert urlsplit(answers.targets[0]).path == "/v2/stocks/bars"
    assert query(answers.targets[0]) == {
        "symbols": "A",
        "timeframe": "1Day",
        "start": "2020-11-25T05:00:00Z",
        "end": "2020-11-27T05:00:00Z",
        "limit": "10000",
        "sort": "asc",
        "adjustment": "raw",
        "feed": "iex",
        "asof": "2021-01-01",
    }
    assert "APCA-API-KEY-ID: PK1" in answers.heads[0]
    assert "APCA-API-SECRET-KEY: S3CRET" in answers.heads[0]


def test_the_feed_is_declared():
    assert AlpacaDataSource(feed="iex").get_metadata().feed == "iex"
    prints = {AlpacaDataSource(feed=feed).get_metadata().fingerprint for feed in ("iex", "sip")}
    assert len(prints) == 2


def test_nothing_is_asked_for_that_has_not_happened():
    noon = local(DAY, "12:00").astimezone(UTC)
    _, answers = asking(
        lambda *_: body({"A": [day_bar(DAY)]}),
        lambda it: it.fetch(["A"], "2020-11-20", "2020-12-31", "1d"),
        clock=lambda: noon,
    )
    assert datetime.fromisoformat(query(answers.targets[0])["end"]) <= noon


def test_many_symbols_take_few_requests():
    symbols = [f"S{number:03}" for number in range(250)]

    def reply(number, target):
        asked = query(target)["symbols"].split(",")
        return body({symbol: [day_bar(DAY), day_bar(SHORT_DAY)] for symbol in asked})

    bars, answers = asking(reply, lambda it: it.fetch(symbols, DAY, SHORT_DAY, "1d"))
    assert bars["symbol"].unique(maintain_order=True).to_list() == symbols
    assert len(bars) == 500
    assert len(answers.targets) == 3


def test_one_symbol_s_failure_is_not_the_others():
    def reply(number, target):
        asked = query(target)["symbols"].split(",")
        if "BAD" in asked:
            return 503, {}, b""
        return body({symbol: [day_bar(DAY)] for symbol in asked})

    fetched, _ = asking(reply, lambda it: it.fetch_available(["A", "BAD", "C"], DAY, DAY, "1d"))
    assert fetched.bars["symbol"].to_list() == ["A", "C"]
    assert isinstance(fetched.failures["BAD"], OutageError)


def test_pages_go_on_in_the_middle_of_a_symbol():
    pages = [
        body({"A": [day_bar(DAY)], "B": [day_bar(DAY)]}, "QnxE"),
        body({"B": [day_bar(SHORT_DAY)], "C": [day_bar(DAY)]}),
    ]
    bars, answers = asking(
        lambda number, _: pages[number - 1],
        lambda it: it.fetch(["C", "B", "A"], DAY, SHORT_DAY, "1d"),
    )
    assert bars.select("symbol", "timestamp").rows() == [
        ("A", DAY), ("B", DAY), ("B", SHORT_DAY), ("C", DAY),
    ]  # fmt: skip
    assert urlsplit(answers.targets[1]).query.endswith("page_token=QnxE")


# What the answers mean


def test_minutes_of_before_the_open_and_after_the_close_are_left_out():
    rows = bars_of(serving(*minutes(DAY)), frequency="1m")
    assert len(rows) == 390
    assert (rows[0][0], rows[-1][0]) == (local(DAY, "09:31"), local(DAY, "16:00"))


@pytest.mark.parametrize(
    ("frequency", "clocks"),
    [
        ("1h", ["09:30", "10:00", "11:00", "12:00", "13:00"]),
        ("2h", ["09:30", "10:00", "12:00", "13:00"]),
        ("6h", ["09:30", "12:00", "13:00"]),
    ],
)
def test_bars_of_a_short_session_have_no_trade_of_other_hours(frequency, clocks):
    rows = bars_of(serving(*minutes(SHORT_DAY)), "A", SHORT_DAY, SHORT_DAY, frequency)
    assert rows == between(list(minutes(SHORT_DAY)), SHORT_DAY, *clocks)


def test_extended_hours_are_the_provider_s_own_bars():
    window = (local(DAY, "04:00"), local(DAY, "18:00"))
    rows = bars_of(serving(*minutes(DAY)), "A", *window, "1h", extended_hours=True)
    hours = on_the_clock(minutes(DAY), timedelta(hours=1))
    own = [(start + timedelta(hours=1), *rest) for start, *rest in hours]
    assert rows == [bar for bar in own if bar[0] <= window[1]]


def test_a_bundle_of_minutes_is_made_of_the_session():
    request = ("minutes", ["A"], DAY, DAY, "1m")

    def reply(number, target):
        if "corporate" in target:
            return ok(b'{"corporate_actions":{},"next_page_token":null}')
        return serving(*minutes(DAY))(number, target)

    asking(reply, lambda it: it.ingest_to_bundle(*request))
    metadata = open_bundle("minutes").metadata
    assert (metadata.row_count, metadata.feed) == (390, "sip")


def hours_of(first, days):
    """Hours from midnight UTC; the volume is the hour's number."""
    for number in range(24 * days):
        price = 100.0 + number % 5
        yield first + timedelta(hours=number), price, price + 1, price - 1, price, number + 1.0


def test_a_day_of_crypto_is_made_of_its_hours_in_utc():
    first = datetime(2020, 11, 28, tzinfo=UTC)
    reply = serving(*hours_of(first, 2), symbol="BTC/USD")
    found, answers = asking(
        reply, lambda it: it.fetch(["BTC/USD"], "2020-11-28", "2020-11-29", "1d"), market="crypto"
    )
    assert urlsplit(answers.targets[0]).path == "/v1beta3/crypto/us/bars"
    assert found.drop("symbol").rows() == [
        (date(2020, 11, 28), 100.0, 105.0, 99.0, 103.0, 300.0),
        (date(2020, 11, 29), 104.0, 105.0, 99.0, 102.0, 876.0),
    ]


def test_a_day_of_crypto_is_not_returned_before_its_last_hour():
    first = datetime(2020, 11, 28, tzinfo=UTC)
    rows = bars_of(
        serving(*hours_of(first, 2), symbol="BTC/USD"),
        "BTC/USD", "2020-11-28", "2020-11-29",
        clock=lambda: datetime(2020, 11, 29, 23, tzinfo=UTC),
    )  # fmt: skip
    assert [row[0].day for row in rows] == [28]


@pytest.mark.parametrize(("now", "weeks"), [("2020-11-27T18:00Z", 2), ("2020-11-27T17:59Z", 1)])
def test_a_week_is_labelled_with_its_last_session_and_ends_with_it(now, weeks):
    mondays = [date(2020, 11, 16), date(2020, 11, 23)]
    rows = bars_of(
        lambda *_: body({"A": [day_bar(monday) for monday in mondays]}),
        "A", "2020-11-18", "2020-11-30", "1w",
        clock=lambda: datetime.fromisoformat(now),
    )  # fmt: skip
    assert [row[0] for row in rows] == [date(2020, 11, 20), date(2020, 11, 27)][:weeks]


# Errors


@pytest.mark.parametrize(
    ("reply", "error", "hint"),
    [
        (said("subscription does not permit querying recent SIP data", 403),
         AuthenticationError, "15 minutes ago, or for feed='iex'"),
        (said("forbidden.", 403), AuthenticationError, "Check the API key"),
        (said("invalid symbol: A", 400), UnknownSymbolError, "Alpaca has no symbol A"),
        (said("end should not be before start", 422), RefusedRequestError, "end should not"),
        (said("something is wrong"), RefusedRequestError, "something is wrong"),
        (said("too many requests.", 429, **{"X-RateLimit-Reset": "9999999999"}),
         RateLimitError, "Ask again in"),
        (ok(b"[]"), MalformedAnswerError, "not what it documents"),
        (ok(b"{}"), MalformedAnswerError, "not what it documents"),
        (ok(b'{"bars":{"A":[{"t":"noon"}]}}'), MalformedAnswerError, "not what it documents"),
        (ok(b'{"bars":{"A":[{"o":1.0}]}}'), MalformedAnswerError, "not what it documents"),
        (ok(b'{"bars":{"A":[null]}}'), MalformedAnswerError, "not what it documents"),
    ],
)  # fmt: skip
def test_each_refusal_is_its_error(reply, error, hint):
    with pytest.raises(error, match=hint):
        bars_of(lambda *_: reply)


@pytest.mark.parametrize("given", [{}, {"api_key": "PK1"}])
def test_without_keys_the_variables_are_named(monkeypatch, given):
    for name in AlpacaDataSource.environment_variables:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AuthenticationError, match="APCA_API_KEY_ID and APCA_API_SECRET_KEY"):
        asyncio.run(AlpacaDataSource(**given).fetch(["A"], DAY, DAY, "1d"))


@pytest.mark.parametrize("option", [{"feed": "all"}, {"market": "bonds"}])
def test_an_option_that_cannot_be_is_an_error(option):
    with pytest.raises(OptionError, match="must be one of"):
        AlpacaDataSource(**option)


# What there is and is not


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (asset("inactive"), DelistedSymbolError),
        (said("asset not found for A", 404), UnknownSymbolError),
    ],
)
def test_unknown_and_delisted_are_told_apart(answer, error):
    with pytest.raises(error, match=r"\bA\b"):
        bars_of(lambda number, target: answer if "assets" in target else body({}))


def test_a_known_symbol_without_bars_is_an_answer():
    def reply(number, target):
        return asset("active") if "assets" in target else body({})

    fetched, answers = asking(reply, lambda it: it.fetch_available(["A/B"], DAY, DAY, "1d"))
    assert fetched.absences == {"A/B": "no bars in the range asked for"}
    assert answers.targets[1] == "/v2/assets/A%2FB"


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (asset("active"), said("forbidden.", 403), None),
        (said("forbidden.", 403), asset("active"), None),
        ((503, {}, b""), asset("active"), None),
        (said("forbidden.", 403), (503, {}, b""), AuthenticationError),
        ((503, {}, b""), said("forbidden.", 403), OutageError),
    ],
)
def test_the_trading_api_that_answers_for_the_key_is_asked(first, second, outcome):
    async def run():
        async with answering(lambda *_: first) as live, answering(lambda *_: second) as paper:
            source = AlpacaDataSource("K", "S", trading_url=live.base_url, retries=AT_ONCE)
            other = AlpacaDataSource("K", "S", trading_url=paper.base_url, retries=AT_ONCE)
            return await absence([*source._trading, *other._trading], "A")

    if outcome is None:
        assert asyncio.run(run()) == "no bars in the range asked for"
    else:
        with pytest.raises(outcome):
            asyncio.run(run())


def test_keys_of_paper_accounts_are_asked_about_at_their_own_api():
    hosts = [
        [each.base_url.host for each in AlpacaDataSource(key, "S")._trading]
        for key in ("PK1", "AK1")
    ]
    assert hosts[0] == ["paper-api.alpaca.markets", "api.alpaca.markets"] == hosts[1][::-1]


def test_a_symbol_that_is_two_is_unknown():
    with pytest.raises(UnknownSymbolError, match="A,B"):
        bars_of(lambda *_: body({"A": [day_bar(DAY)]}), "A,B")


def test_all_assets_are_listed():
    reply = ok(json.dumps([{"symbol": name, "status": "active"} for name in "CBA"]).encode())
    listed, answers = asking(lambda *_: reply, lambda it: it.list_symbols())
    assert listed == ["A", "B", "C"]
    assert answers.targets == ["/v2/assets?asset_class=us_equity"]


@pytest.mark.parametrize(
    ("options", "symbols", "bars", "frequency", "calls"),
    [
        ({}, 500, 2520, "1d", 126 + 27),
        ({}, 1, 98_280, "1m", 25 + 1),
        ({"extended_hours": True}, 1, 98_280, "1m", 10 + 1),
        ({"market": "crypto"}, 1, 3650, "1d", 9),
    ],
)
def test_the_calls_that_bars_and_events_take_are_counted(options, symbols, bars, frequency, calls):
    assert AlpacaDataSource(**options).calls_needed(symbols, bars, frequency) == calls
