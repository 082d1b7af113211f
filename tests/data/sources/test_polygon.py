"""Massive: what its answers mean. That every answer arrives whole is the kit's subject."""

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
    RateLimitError,
    RefusedRequestError,
    UnknownSymbolError,
)
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.polygon import MassiveDataSource, PolygonDataSource
from tests.data.sources.answers import answering, ok
from tests.data.sources.recorded import needs_recordings, recorded
from tests.data.sources.trading_day import between, local, minutes, on_the_clock

DAY, SHORT_DAY = date(2020, 11, 25), date(2020, 11, 27)
LATER = datetime(2021, 1, 4, tzinfo=UTC)
SPANS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


def body(rows, **more):
    """Rows (start, open, high, low, close, volume) as the provider answers with them."""
    results = [
        {"t": round(start.timestamp() * 1000), "o": o, "h": h, "l": low, "c": c, "v": v, "n": 1}
        for start, o, h, low, c, v in rows
    ]
    told = {"queryCount": len(rows), "resultsCount": len(rows), "results": results}
    return ok(json.dumps({"ticker": "A", "status": "OK", **told, **more}).encode())


def listing(*rows, **more):
    return ok(json.dumps({"status": "OK", "results": rows, **more}).encode())


def serving(days):
    """All bars of the days in any multiple, and no other ticker than A."""

    def reply(number, target):
        if "/aggs/ticker/A/" not in target:
            return listing()
        *_, count, span, first, last = urlsplit(target).path.split("/")
        rows = [row for day in days for row in minutes(day)]
        bars = on_the_clock(rows, int(count) * SPANS[span])
        return body([bar for bar in bars if int(first) <= bar[0].timestamp() * 1000 <= int(last)])

    return reply


def asking(reply, ask, **options):
    """What `ask` gets from a source whose provider replies so, and the requests that it took."""

    async def run():
        async with answering(reply) as answers:
            made = {"clock": lambda: LATER, "retries": AT_ONCE, **options}
            source = PolygonDataSource("K3Y", base_url=answers.base_url, **made)
            return await ask(source), answers

    return asyncio.run(run())


def bars_of(reply, symbol="A", start=DAY, end=DAY, frequency="1d", **options):
    found, _ = asking(reply, lambda it: it.fetch([symbol], start, end, frequency), **options)
    return found.drop("symbol").rows()


def day_bar(start, close=10.0):
    return (start, 10.0, 11.0, 9.0, close, 100.0)


# Daily bars


@needs_recordings
def test_a_recorded_answer_across_the_change_of_the_clocks_has_its_dates():
    answer = recorded("responses/massive/aggs_AAPL_2005-04-01_2005-04-04.json")
    rows = bars_of(lambda *_: ok(answer), start="2005-04-01", end="2005-04-04")
    assert rows == [
        (date(2005, 4, 1), 1.5032, 1.5064, 1.4489, 1.4604, 642646396.0),
        (date(2005, 4, 4), 1.4639, 1.4754, 1.4343, 1.4675, 578172308.0),
    ]


def test_unadjusted_bars_are_asked_for_and_the_key_stands_in_a_header():
    reply = body([day_bar(local(DAY, "00:00"))])
    _, answers = asking(lambda *_: reply, lambda it: it.fetch(["A"], DAY, DAY, "1d"))
    assert answers.targets == [
        "/v2/aggs/ticker/A/range/1/day/2020-11-25/2020-11-25?adjusted=false&sort=asc&limit=50000"
    ]
    assert "Authorization: Bearer K3Y" in answers.heads[0]


def test_a_day_that_begins_at_no_midnight_is_an_error():
    with pytest.raises(MalformedAnswerError, match="no midnight in America/New_York"):
        bars_of(lambda *_: body([day_bar(local(DAY, "16:00"))]))


def test_a_day_of_crypto_is_one_in_utc():
    reply = body([day_bar(datetime(2020, 11, day, tzinfo=UTC)) for day in (28, 29)])
    rows = bars_of(lambda *_: reply, "X:BTCUSD", "2020-11-28", "2020-11-29", market="crypto")
    assert [row[0] for row in rows] == [date(2020, 11, 28), date(2020, 11, 29)]


@pytest.mark.parametrize(("extended", "days"), [(False, [27, 30]), (True, [27, 29, 30])])
def test_the_sunday_evening_of_forex_is_no_session(extended, days):
    served = [datetime(2020, 11, day, tzinfo=UTC) for day in (27, 29, 30)]
    options = {"market": "forex", "extended_hours": extended}
    reply = body([day_bar(start) for start in served])
    rows = bars_of(lambda *_: reply, "C:EURUSD", "2020-11-27", "2020-11-30", **options)
    assert [row[0].day for row in rows] == days


@pytest.mark.parametrize(
    ("market", "calendar"), [("stocks", "XNYS"), ("crypto", "24/7"), ("forex", "24/5")]
)
def test_a_market_has_its_calendar(market, calendar):
    assert PolygonDataSource(market=market).get_metadata().calendar == calendar


# Hours


def test_minutes_of_before_the_open_and_after_the_close_are_left_out():
    rows = bars_of(serving([DAY]), frequency="1m")
    assert len(rows) == 390
    assert rows[0][0] == local(DAY, "09:31")
    assert rows[-1][0] == local(DAY, "16:00")


@pytest.mark.parametrize(
    ("frequency", "clocks"),
    [
        ("30m", [f"{9 + (m + 30) // 60:02}:{(m + 30) % 60:02}" for m in range(0, 420, 30)]),
        ("1h", ["09:30", "10:00", "11:00", "12:00", "13:00", "14:00", "15:00", "16:00"]),
        ("45m", ["09:30", "09:45", "10:30", "11:15", "12:00", "12:45", "13:30", "14:15", "15:00",
                 "15:45", "16:00"]),
        ("4h", ["09:30", "12:00", "16:00"]),
        ("7h", ["09:30", "14:00", "16:00"]),
    ],
)  # fmt: skip
def test_bars_of_the_session_have_no_trade_of_other_hours(frequency, clocks):
    rows = bars_of(serving([DAY]), frequency=frequency)
    assert rows == between(list(minutes(DAY)), DAY, *clocks)


def test_the_last_bar_of_a_short_session_ends_with_it():
    rows = bars_of(serving([SHORT_DAY]), start=SHORT_DAY, end=SHORT_DAY, frequency="2h")
    cuts = between(list(minutes(SHORT_DAY)), SHORT_DAY, "09:30", "10:00", "12:00", "13:00")
    assert rows == cuts


@pytest.mark.parametrize("frequency", ["1m", "1h"])
def test_extended_hours_are_the_provider_s_own_bars(frequency):
    step = timedelta(minutes=1) if frequency == "1m" else timedelta(hours=1)
    window = (local(DAY, "04:00"), local(DAY, "18:00"))
    rows = bars_of(serving([DAY]), "A", *window, frequency, extended_hours=True)
    own = [(start + step, *rest) for start, *rest in on_the_clock(minutes(DAY), step)]
    assert rows == [bar for bar in own if window[0] <= bar[0] <= window[1]]


def test_a_bundle_of_minutes_is_made_of_the_session():
    request = ("minutes", ["A"], DAY, SHORT_DAY, "1m")
    asking(serving([DAY, SHORT_DAY]), lambda it: it.ingest_to_bundle(*request))
    bundle = open_bundle("minutes")
    assert bundle.metadata.row_count == 390 + 210
    assert bundle.metadata.source_config == {"market": "stocks", "extended_hours": False}
    assert bundle.metadata.frequency == "1m"


# Time


@pytest.mark.parametrize(("status", "last"), [("OK", "10:00"), ("DELAYED", "09:45")])
def test_a_plan_that_is_late_has_no_bars_of_the_last_minutes(status, last):
    starts = [local(DAY, "09:30") + timedelta(minutes=15 * n) for n in range(3)]
    reply = body([day_bar(start) for start in starts], status=status)
    rows = bars_of(
        lambda *_: reply, frequency="15m", clock=lambda: local(DAY, "10:00").astimezone(UTC)
    )
    assert rows[-1][0] == local(DAY, last)


# Pages


def test_a_full_page_that_leads_nowhere_is_not_the_last_one():
    days = [local(DAY, "00:00"), local(SHORT_DAY, "00:00")]
    part_of_it = day_bar(days[0], close=9.5)
    replies = [
        body([part_of_it], queryCount=50_000),
        body([day_bar(day) for day in days]),
    ]
    found, answers = asking(
        lambda number, _: replies[number - 1], lambda it: it.fetch(["A"], DAY, SHORT_DAY, "1d")
    )
    assert found.select("timestamp", "close").rows() == [(DAY, 10.0), (SHORT_DAY, 10.0)]
    assert answers.targets[1].startswith("/v2/aggs/ticker/A/range/1/day/1606280400000/2020-11-27?")


def test_the_next_page_is_asked_for_at_the_provider_wherever_it_is_said_to_be():
    first = body([day_bar(local(DAY, "00:00"))], next_url="https://elsewhere.example/v2/x?cursor=2")
    replies = [first, body([day_bar(local(SHORT_DAY, "00:00"))])]
    found, answers = asking(
        lambda number, _: replies[number - 1], lambda it: it.fetch(["A"], DAY, SHORT_DAY, "1d")
    )
    assert len(found) == 2
    assert answers.targets[1] == "/v2/x?cursor=2"


def test_pages_without_end_that_bring_nothing_are_an_error():
    def reply(number, target):
        return body([day_bar(local(DAY, "00:00"))], next_url=f"https://x/v2/x?cursor={number}")

    with pytest.raises(MalformedAnswerError, match="lead in a circle: page 5 brings nothing new"):
        bars_of(reply)


# Errors


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": "NOT_AUTHORIZED", "message": "Your plan doesn't include"}, AuthenticationError),
        ({"status": "ERROR", "error": "Unknown API Key"}, AuthenticationError),
        ({"status": "ERROR", "error": "exceeded the maximum requests per minute"}, RateLimitError),
        ({"status": "ERROR", "error": "The parameter 'to' is wrong"}, RefusedRequestError),
        ({}, MalformedAnswerError),
        ([], MalformedAnswerError),
        ({"status": "OK", "results": [{"t": "noon"}]}, MalformedAnswerError),
        ({"status": "OK", "results": [{"o": 1.0}]}, MalformedAnswerError),
        ({"status": "OK", "results": [None]}, MalformedAnswerError),
        ({"status": "OK", "resultsCount": 3}, MalformedAnswerError),
    ],
)
def test_an_error_with_status_200_is_an_error(answer, error):
    with pytest.raises(error) as caught:
        bars_of(lambda *_: ok(json.dumps(answer).encode()))
    said = answer.get("message") or answer.get("error") if isinstance(answer, dict) else None
    assert (said or "v2/aggs") in str(caught.value)


def test_an_answer_without_content_is_an_error():
    with pytest.raises(MalformedAnswerError, match="answered 204"):
        bars_of(lambda *_: (204, {}, b""))


def test_without_a_key_the_variables_are_named(monkeypatch):
    for name in PolygonDataSource.environment_variables:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AuthenticationError, match="MASSIVE_API_KEY or POLYGON_API_KEY"):
        asyncio.run(PolygonDataSource().fetch(["A"], DAY, DAY, "1d"))


def test_the_key_is_found_under_the_old_name(monkeypatch):
    monkeypatch.delenv("MASSIVE_API_KEY", raising=False)
    monkeypatch.setenv("POLYGON_API_KEY", "0ld")

    async def run():
        async with answering(lambda *_: listing({"ticker": "A"})) as answers:
            await MassiveDataSource(base_url=answers.base_url).list_symbols()
            return answers.heads

    assert all("Bearer 0ld" in head for head in asyncio.run(run()))


@pytest.mark.parametrize("symbol", ["I:SPX", "O:SPY251219C00650000"])
def test_a_market_that_is_not_read_is_said(symbol):
    with pytest.raises(RefusedRequestError, match="market of Massive that is not read"):
        bars_of(lambda *_: body([]), symbol)


def test_an_unknown_market_is_an_error():
    with pytest.raises(OptionError, match="must be one of stocks, crypto, forex"):
        PolygonDataSource(market="bonds")


# What there is and is not


def lookup(active=(), gone=()):
    def reply(number, target):
        if "/aggs/" in target:
            return body([])
        rows = gone if "active=false" in target else active
        return listing(*rows)

    return reply


def test_a_known_ticker_without_bars_is_an_answer():
    reply = lookup(active=[{"ticker": "A"}])
    fetched, answers = asking(reply, lambda it: it.fetch_available(["A"], DAY, DAY, "1d"))
    assert fetched.absences == {"A": "no bars in the range asked for"}
    assert len(answers.targets) == 2


@pytest.mark.parametrize(
    ("gone", "error"),
    [
        ([], UnknownSymbolError),
        ([{"ticker": "AB", "delisted_utc": "2019-01-02T05:00:00Z"}], UnknownSymbolError),
        ([{"ticker": "A", "delisted_utc": "2019-01-02T05:00:00Z"}], DelistedSymbolError),
    ],
)
def test_unknown_and_delisted_are_told_apart(gone, error):
    with pytest.raises(error, match=r"\bA\b"):
        bars_of(lookup(gone=gone))


def test_a_ticker_may_be_refused_at_once():
    answer = (404, {}, b'{"status":"NOT_FOUND","message":"Ticker not found."}')
    with pytest.raises(UnknownSymbolError, match="Massive has no symbol A"):
        bars_of(lambda *_: answer)


def test_one_text_is_not_taken_for_the_tickers_of_its_letters():
    with pytest.raises(OptionError, match=r"it must be a list of names: \['AAPL'\]"):
        asking(lookup(), lambda it: it.fetch("AAPL", "2020-12-14", "2020-12-15", "1d"))


def test_the_ticker_that_is_refused_is_named_as_it_was_asked_for():
    answer = (404, {}, b'{"status":"NOT_FOUND","message":"Ticker not found."}')
    with pytest.raises(UnknownSymbolError) as caught:
        asking(lambda *_: answer, lambda it: it.fetch(["BRK/A"], "2020-12-14", "2020-12-15", "1d"))
    assert "Massive has no symbol BRK/A" in str(caught.value)


def test_a_ticker_delisted_after_the_range_had_no_trade_in_it():
    gone = [{"ticker": "A", "delisted_utc": "2020-12-31T05:00:00Z"}]
    assert bars_of(lookup(gone=gone)) == []


def test_all_tickers_are_listed_page_by_page():
    def reply(number, target):
        asked = parse_qs(urlsplit(target).query)
        if "cursor" in asked:
            return listing({"ticker": "B"})
        if asked["active"] == ["false"]:
            return listing({"ticker": "Z", "delisted_utc": "2019-01-02"})
        assert asked["market"] == ["fx"]
        return listing({"ticker": "C"}, next_url="https://api.massive.com/v3/reference?cursor=1")

    assert asking(reply, lambda it: it.list_symbols(), market="forex")[0] == ["B", "C", "Z"]


@pytest.mark.parametrize(
    ("market", "symbols", "bars", "frequency", "calls"),
    [
        ("stocks", 1, 5849, "1d", 1 + 2),
        ("stocks", 8, 5849, "1d", 8 + 16),
        ("stocks", 500, 2520, "1d", 500 + 40),
        ("stocks", 500, 1, "1d", 1 + 2),
        ("stocks", 500, 62, "1d", 62 + 2),
        ("crypto", 500, 1, "1d", 500),
        ("stocks", 1, 98_280, "1m", 5 + 2),
        ("stocks", 2, 10, "1h", 2 + 4),
        ("crypto", 2, 10, "1h", 2),
    ],
)
def test_the_calls_that_bars_and_events_take_are_counted(market, symbols, bars, frequency, calls):
    assert PolygonDataSource(market=market).calls_needed(symbols, bars, frequency) == calls
