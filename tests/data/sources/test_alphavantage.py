"""Alpha Vantage's ways: its words, its months, its plans, its pairs."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.bundles.ingest import ingest
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.errors import (
    AuthenticationError,
    DateRangeError,
    MalformedAnswerError,
    OptionError,
    RateLimitError,
    RefusedRequestError,
    UnadjustableError,
    UnknownSymbolError,
)
from rustybt.data.sources import AlphaVantageDataSource
from rustybt.data.sources._alphavantage_bars import DIVIDEND_ROW, SPLIT_ROW, listed_events
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.testing import LoopbackServer, Reply, make_world
from tests.data.sources.alphavantage import AlphaVantageProvider, series

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)
SYMBOLS = ("AAPL", "MSFT", "GONE")
KEY = AlphaVantageProvider.secret
FIRST, LAST = date(2020, 3, 2), date(2020, 12, 15)


class AlphaVantage(AlphaVantageProvider):
    """Answers with `words`, if there are any; has pairs beside the world's stocks."""

    words: Reply | None = None

    def respond(self, request):
        if self.words:
            return self.words
        query = request.query
        match query["function"]:
            case "FX_DAILY" | "FX_INTRADAY" | "DIGITAL_CURRENCY_DAILY" | "CRYPTO_INTRADAY":
                return self.pair(query)
        return super().respond(request)

    def pair(self, query):
        step = {"60min": "1h"}.get(query.get("interval", ""), "1d")
        names = [query.get(name) for name in ("from_symbol", "to_symbol", "symbol", "market")]
        rows = self.world.served("/".join(filter(None, names)), step)
        forex = query["function"].startswith("FX")
        columns = ("open", "high", "low", "close", *(() if forex else ("volume",)))
        if step == "1d":
            times = rows["timestamp"].cast(pl.String)
        else:
            times = rows["start"].dt.strftime("%Y-%m-%d %H:%M:%S")
        title = "Time Series FX (Daily)" if forex else "Time Series (Digital Currency Daily)"
        return series(title, times, rows, columns, "UTC")


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Serve a world; returns the server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    servers = []

    def start(world=None):
        server = LoopbackServer(AlphaVantage(world or make_world(SYMBOLS)))
        servers.append(server.__enter__())
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)
        assert not server.errors


def source_of(server, **options):
    given = {"requests_per_minute": 1_000_000, "clock": lambda: server.provider.world.now}
    return AlphaVantageDataSource(
        KEY, base_url=server.base_url, retries=AT_ONCE, timeout=5.0, **(given | options)
    )


def fetch(
    server, symbol="AAPL", start=date(2020, 3, 2), end=date(2020, 12, 15), frequency="1d", **o
):
    return asyncio.run(source_of(server, **o).fetch([symbol], start, end, frequency))


def asked(server, name):
    return [call.request.query.get(name) for call in server.calls]


THANKS = "Thank you for using Alpha Vantage! "
UNLOCK = "You may subscribe to any of the premium plans to instantly unlock all premium endpoints"


@pytest.mark.parametrize(
    ("name", "said", "error"),
    [
        ("Note", THANKS + "Our standard API call frequency is 5 calls per minute and 500 calls per "
         "day. Please visit /premium/ to target a higher API call frequency.", RateLimitError),
        ("Information", THANKS + "Our standard API rate limit is 25 requests per day. Please "
         "subscribe to remove all daily rate limits.", RateLimitError),
        ("Information", THANKS + "Please consider spreading out your free API requests more "
         "sparingly (1 request per second). You may subscribe to lift the free key rate limit (25 "
         "requests per day) and instantly unlock all premium endpoints", RateLimitError),
        ("Information", THANKS + "This is a premium endpoint. " + UNLOCK, AuthenticationError),
        ("Information", THANKS + "The outputsize=full parameter value is a premium feature for the "
         "TIME_SERIES_DAILY endpoint. " + UNLOCK, AuthenticationError),
        ("Information", "The **demo** API key is for demo purposes only.", AuthenticationError),
        ("Error Message", "the parameter apikey is invalid or missing.", AuthenticationError),
        ("Error Message", "Invalid API call. Please retry or visit the documentation.",
         UnknownSymbolError),
        ("Information", "We are closed for the holidays.", RefusedRequestError),
    ],
)  # fmt: skip
def test_its_words_are_errors_of_their_own(serve, name, said, error):
    server = serve()
    server.provider.words = Reply.of_json({name: said})
    with pytest.raises(error, match="AAPL") as caught:
        fetch(server)
    assert type(caught.value) is error


def test_what_is_refused_for_the_day_says_until_when(serve):
    server = serve()
    server.provider.words = Reply.of_json({"Note": "the rate limit is 25 requests per day"})
    with pytest.raises(RateLimitError, match="tomorrow") as caught:
        fetch(server)
    # 10:07:30 in New York
    assert caught.value.retry_after == (13 * 60 + 52) * 60 + 30
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "body", [{"Meta Data": {}}, {"Time Series (Daily)": {"2020-01-02": {}}}, []]
)
def test_an_answer_without_a_series_is_malformed(serve, body):
    server = serve()
    server.provider.words = Reply.of_json(body)
    with pytest.raises(MalformedAnswerError, match="no time series"):
        fetch(server)


def test_an_empty_answer_is_an_unknown_symbol(serve):
    server = serve()
    server.provider.words = Reply.of_json({})
    with pytest.raises(UnknownSymbolError, match="AAPL"):
        fetch(server)


def test_a_series_that_its_events_do_not_explain_is_refused(serve):
    server = serve()
    world = server.provider.world
    unpaid = replace(world.events, dividends=world.events.dividends[:-1])
    adjusted = world.adjusted("AAPL", dividends=True)
    server.provider.world = replace(world, events=unpaid)
    server.provider.adjusted = lambda symbol, rows: (
        AlphaVantage.adjusted(server.provider, symbol, rows)
        .with_columns(adjusted["close"].alias("adjusted close"))
    )  # fmt: skip
    request = (["AAPL"], FIRST, LAST)
    with pytest.raises(UnadjustableError, match=r"AAPL.*2020-11-05"):
        asyncio.run(source_of(server, plan="premium").fetch_events(*request))


@pytest.mark.parametrize(
    ("start", "size"), [(date(2020, 3, 2), "full"), (date(2020, 9, 1), "compact")]
)
def test_no_more_is_asked_for_than_is_needed(serve, start, size):
    server = serve()
    bars = fetch(server, start=start)
    truth = server.provider.world.expected(["AAPL"], "1d")
    assert_frame_equal(bars, truth.filter(pl.col("timestamp") >= start), check_exact=True)
    assert asked(server, "outputsize") == [size]


@pytest.mark.parametrize(("plan", "size"), [("free", "compact"), ("premium", "full")])
def test_without_dates_everything_that_the_plan_has_is_taken(serve, plan, size):
    server = serve()
    bars = fetch(server, start=None, end=None, plan=plan)
    assert asked(server, "outputsize") == [size]
    assert bars["timestamp"].max() == date(2020, 12, 14)


def test_intraday_bars_take_a_request_a_month(serve):
    server = serve()
    bars = fetch(server, start="2020-08-28", end="2020-11-02", frequency="15m")
    truth = server.provider.world.expected(["AAPL"], "15m")
    inside = pl.col("timestamp").dt.date().is_between(date(2020, 8, 28), date(2020, 11, 2))
    assert_frame_equal(bars, truth.filter(inside), check_exact=True)
    assert asked(server, "month") == ["2020-08", "2020-09", "2020-10", "2020-11"]


def test_a_split_or_dividend_that_is_listed_twice_is_one():
    splits = pl.DataFrame([(date(2020, 8, 31), 4.0)] * 2, schema=SPLIT_ROW, orient="row")
    day = date(2020, 8, 7)
    paid = pl.DataFrame([(day, 0.82, day, day, day)] * 2, schema=DIVIDEND_ROW, orient="row")
    events = listed_events("AAPL", splits, paid)
    assert events.splits["ratio"].to_list() == [0.25]
    assert events.dividends["amount"].to_list() == [0.82]


@pytest.mark.parametrize(
    ("options", "bars", "frequency", "calls"),
    [
        ({"plan": "free"}, 90, "1d", 2 * 3),
        ({"plan": "premium"}, 5000, "1d", 2 * 2),
        ({"plan": "premium"}, 26 * 21 * 4, "15m", 2 * (4 + 2)),
        ({"market": "forex"}, 90, "1d", 2),
    ],
)
def test_the_calls_that_bars_and_events_take_are_counted(options, bars, frequency, calls):
    assert AlphaVantageDataSource(**options).calls_needed(2, bars, frequency) == calls


def test_months_before_a_symbol_was_listed_are_without_bars(serve):
    server = serve()
    known = server.provider.intraday
    invalid = Reply.of_json({"Error Message": "Invalid API call. Please retry"})
    server.provider.intraday = lambda symbol, query: (
        known(symbol, query) if query["month"] > "2020-10" else invalid
    )
    bars = fetch(server, start="2020-08-28", end="2020-12-15", frequency="15m")
    assert bars["timestamp"].min().date() == date(2020, 11, 2)
    with pytest.raises(UnknownSymbolError, match="AAPL"):
        fetch(server, start="2020-08-28", end="2020-08-31", frequency="15m")


def test_times_that_can_only_be_ends_are_noticed(serve):
    server = serve()
    row = dict.fromkeys(("1. open", "2. high", "3. low", "4. close", "5. volume"), "80")
    times = ("2020-11-27 10:30:00", "2020-11-27 11:30:00", "2020-11-27 13:00:00")
    about = {"6. Time Zone": "US/Eastern"}
    table = {"Meta Data": about, "Time Series (60min)": dict.fromkeys(times, row)}
    server.provider.words = Reply.of_json(table)
    with pytest.raises(MalformedAnswerError, match="the times of their ends"):
        fetch(server, "AAPL", "2020-11-27", "2020-11-27", "1h")


def test_intraday_bars_begin_in_2000(serve):
    with pytest.raises(DateRangeError, match="from 2000-01 on"):
        fetch(serve(), start="1999-12-01", end="2000-02-01", frequency="1m")


def test_intraday_bars_without_dates_are_asked_back(serve):
    with pytest.raises(DateRangeError, match="say from when to when"):
        fetch(serve(), start=None, end=None, frequency="1m")


@pytest.mark.parametrize(
    ("market", "symbol", "calendar"), [("forex", "EUR/USD", "24/5"), ("crypto", "BTC/USD", "24/7")]
)
def test_pairs_are_markets_of_their_own(serve, market, symbol, calendar):
    server = serve(make_world((symbol, "B", "C"), calendar, "1h", events=False))
    truth = server.provider.world.expected([symbol], "1d")
    if market == "forex":
        truth = truth.with_columns(volume=pl.lit(0.0))
    assert_frame_equal(fetch(server, symbol, market=market), truth, check_exact=True)
    source = source_of(server, market=market)
    assert source.get_metadata().calendar == calendar
    assert len(asyncio.run(source.fetch_events([symbol], date(2020, 3, 2), date(2020, 9, 1)))) == 0
    with pytest.raises(UnknownSymbolError, match=r"EUR/USD.*EURUSD"):
        fetch(server, "EURUSD", market=market)


def test_intraday_bars_of_a_pair_say_how_far_they_reach(serve):
    server = serve(make_world(("BTC/USD", "B", "C"), "24/7", "1h", events=False))
    truth = server.provider.world.expected(["BTC/USD"], "1h")
    start = truth["timestamp"][0]
    bars = fetch(server, "BTC/USD", start, frequency="1h", market="crypto")
    assert_frame_equal(bars, truth, check_exact=True)
    with pytest.raises(RefusedRequestError, match=f"from {start:%Y-%m-%d %H:%M} UTC on"):
        fetch(server, "BTC/USD", date(2020, 2, 1), frequency="1h", market="crypto")


def test_crypto_prices_in_two_currencies_are_those_of_the_market(serve):
    server = serve()
    row = {
        "1a. open (EUR)": "90", "1b. open (USD)": "100", "2a. high (EUR)": "95",
        "2b. high (USD)": "110", "3a. low (EUR)": "80", "3b. low (USD)": "85",
        "4a. close (EUR)": "85", "4b. close (USD)": "95", "5. volume": "0.7",
        "6. market cap (USD)": "0.7",
    }  # fmt: skip
    table = {"Meta Data": {"7. Time Zone": "UTC"}, "Time Series (Digital Currency Daily)": {
        "2020-12-14": row}}  # fmt: skip
    server.provider.words = Reply.of_json(table)
    bars = fetch(server, "BTC/EUR", market="crypto")
    assert bars.row(0)[2:] == (90.0, 95.0, 80.0, 85.0, 0.7)


def test_the_listing_has_the_delisted_too(serve):
    server = serve()
    assert asyncio.run(source_of(server).list_symbols()) == ["AAPL", "GONE", "MSFT"]
    server.provider.words = Reply(b"symbol,name\r\nAAPL,Apple In")
    with pytest.raises(MalformedAnswerError, match="no whole listing"):
        asyncio.run(source_of(server).list_symbols())


def test_the_free_plan_declares_its_budget():
    source = AlphaVantageDataSource(KEY)
    rates = [(rate.count, rate.seconds) for rate in source._http.budget.rates]
    assert rates == [(1, 1.0), (5, 60.0), (25, 86_400.0)]
    assert source.get_metadata().requests_per_minute == 5
    assert AlphaVantageDataSource(KEY, plan="premium").get_metadata().requests_per_minute == 75


def test_a_key_comes_from_the_environment(serve, monkeypatch):
    server = serve()
    monkeypatch.delenv("ALPHAVANTAGE_API_KEY", raising=False)
    nobody = AlphaVantageDataSource(base_url=server.base_url)
    request = (["AAPL"], date(2020, 9, 1), date(2020, 12, 15), "1d")
    with pytest.raises(AuthenticationError, match="ALPHAVANTAGE_API_KEY"):
        asyncio.run(nobody.fetch(*request))
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)
    assert len(asyncio.run(AlphaVantageDataSource(base_url=server.base_url).fetch(*request)))
    assert asked(server, "apikey") == [KEY]


def test_an_ingest_asks_for_a_series_and_its_events_once(serve):
    server = serve(replace(make_world(SYMBOLS), now=datetime(2020, 12, 16, tzinfo=UTC)))
    ingest(source_of(server, plan="premium"), "av", symbols=["AAPL"])
    assert BundleMetadata.load("av").row_count == 202
    assert asked(server, "function") == ["TIME_SERIES_DAILY_ADJUSTED", "DIVIDENDS"]


@pytest.mark.parametrize("options", [{"market": "bonds"}, {"plan": "gold"}])
def test_an_option_that_cannot_be_is_refused_at_once(options):
    with pytest.raises(OptionError, match="must be one of"):
        AlphaVantageDataSource(KEY, **options)


def test_trading_before_the_open_is_had_on_request(serve):
    server = serve()
    row = dict.fromkeys(("1. open", "2. high", "3. low", "4. close", "5. volume"), "80")
    times = ("2020-12-14 08:00:00", "2020-12-14 09:30:00", "2020-12-14 15:30:00")
    table = {
        "Meta Data": {"6. Time Zone": "US/Eastern"},
        "Time Series (60min)": dict.fromkeys(times, row),
    }
    server.provider.words = Reply.of_json(table)
    labels = {
        extended: fetch(server, "AAPL", "2020-12-14", "2020-12-14", "1h", extended_hours=extended)
        ["timestamp"].dt.convert_time_zone("America/New_York").dt.strftime("%H:%M").to_list()
        for extended in (False, True)
    }  # fmt: skip
    assert labels == {False: ["10:30", "16:00"], True: ["09:00", "10:30", "16:30"]}
    assert asked(server, "extended_hours") == ["false", "true"]


@pytest.mark.parametrize(
    ("symbols", "calendar"),
    [
        (["IBM", "BRK.B"], "XNYS"),
        (["TSCO.LON"], "XLON"),
        (["IBM", "MBG.DEX"], None),
        (["A.XYZ"], None),
    ],
)
def test_the_spelling_of_symbols_tells_their_market(symbols, calendar):
    assert AlphaVantageDataSource(KEY).calendar_of(symbols) == calendar
    assert AlphaVantageDataSource(KEY, calendar="XPAR").calendar_of(symbols) == "XPAR"
    assert AlphaVantageDataSource(KEY, market="crypto").calendar_of(["BTC/EUR"]) == "24/7"
