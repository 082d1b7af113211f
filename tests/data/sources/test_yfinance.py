"""Yahoo's ways: splits after the range, rows of the latest trade, its words, its reach."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
import yfinance
from polars.testing import assert_frame_equal

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles.ingest import ingest
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.errors import (
    AuthenticationError,
    BarValidationError,
    DateRangeError,
    DelistedSymbolError,
    MalformedAnswerError,
    OptionError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    UnadjustableError,
    UnknownSymbolError,
)
from rustybt.data.sources import YFinanceDataSource
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.testing import LoopbackServer, Reply, make_world
from tests.data.sources.yahoo import Rerouted, YahooProvider, real_world

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)
SYMBOLS = ("AAPL", "MSFT", "GONE")


class Yahoo(YahooProvider):
    """Answers with `words`, if there are any."""

    words: Reply | None = None

    def chart(self, request):
        return self.words or super().chart(request)

    def adjusted(self, symbol, interval):
        """Hours, where the world has half hours: those that begin at half past."""
        if interval in self.world.bars:
            return super().adjusted(symbol, interval)
        return super().adjusted(symbol, "30m").filter(pl.col("start").dt.minute() == 30)


@pytest.fixture
def serve(tmp_path):
    """Serve a world; returns the server."""
    yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))
    servers = []

    def start(world=None):
        server = LoopbackServer(Yahoo(world or make_world(SYMBOLS, intraday="1h")))
        servers.append(server.__enter__())
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)
        assert not server.errors


def source_of(server, **options):
    options.setdefault("clock", lambda: server.provider.world.now)
    return YFinanceDataSource(session=Rerouted(server.base_url), retries=AT_ONCE, **options)


def fetch(server, symbol="AAPL", start=None, end=None, frequency="1d", **options):
    source = source_of(server, **options)
    return asyncio.run(source.fetch([symbol], start, end, frequency))


def charts(server):
    return [call.request for call in server.calls if call.request.symbol]


@pytest.mark.parametrize("symbol", ["AAPL", "IBM", "MSFT"])
def test_thirteen_real_years_come_back_as_they_were_traded(serve, symbol):
    server = serve(real_world())
    bars = fetch(server, symbol)
    assert_frame_equal(bars, server.provider.world.expected([symbol], "1d"), check_exact=True)
    events = asyncio.run(source_of(server).fetch_events([symbol], None, None))
    for kind in ("splits", "dividends"):
        truth = getattr(server.provider.world.events, kind).filter(pl.col("symbol") == symbol)
        assert_frame_equal(getattr(events, kind), truth, check_exact=True)


def test_a_range_before_a_split_is_raw_too(serve):
    server = serve()
    bars = fetch(server, "AAPL", date(2020, 6, 1), date(2020, 7, 31))
    truth = server.provider.world.expected(["AAPL"], "1d")
    inside = pl.col("timestamp").is_between(date(2020, 6, 1), date(2020, 7, 31))
    assert_frame_equal(bars, truth.filter(inside), check_exact=True)


def test_split_adjusted_bars_have_no_events(serve):
    server = serve()
    bars = fetch(server, adjustment="split")
    theirs = server.provider.world.adjusted("AAPL", dividends=False).head(len(bars))
    assert bars["close"].to_list() == pytest.approx(theirs["close"].to_list(), rel=1e-7)
    source = source_of(server, adjustment="split")
    assert len(asyncio.run(source.fetch_events(["AAPL"], None, None))) == 0
    assert source.get_metadata().adjustment == "split"


def test_a_payment_that_yahoo_forgot_is_noticed(serve):
    server = serve()
    server.provider.events = lambda request, first, last: {}
    with pytest.raises(UnadjustableError, match=r"AAPL.* 2020-11-05 .*adjustment='split'"):
        fetch(server)
    assert len(fetch(server, adjustment="split"))


def test_an_adjusted_close_that_is_off_by_little_is_noticed(serve):
    server = serve()
    off = pl.when(pl.int_range(pl.len()) < 50).then(1 - 3e-6).otherwise(1.0)
    server.provider.change = lambda rows: rows.with_columns(pl.col("adjusted") * off)
    with pytest.raises(UnadjustableError, match="AAPL"):
        fetch(server)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (datetime(2020, 8, 31, 12, tzinfo=UTC), "nothing was traded since"),
        (datetime(2020, 9, 2, 12, tzinfo=UTC), r"4 for 1.*not adjusted for it yet"),
    ],
)
def test_a_split_that_yahoo_has_not_applied_is_noticed(serve, now, says):
    server = serve(replace(make_world(SYMBOLS, intraday="1h"), now=now))
    before = pl.when(pl.col("session") < date(2020, 8, 31)).then(4.0).otherwise(1.0)
    prices = pl.col("open", "high", "low", "close", "adjusted")
    server.provider.change = lambda rows: rows.with_columns(
        session=pl.col("start").dt.date()
    ).with_columns(prices * before)
    with pytest.raises(UnadjustableError, match=rf"AAPL: .*2020-08-31.*{says}|{says}"):
        fetch(server, end=date(2020, 8, 28))


def after_close(hours=1):
    world = make_world(SYMBOLS, intraday="1h")
    return replace(world, now=datetime(2020, 12, 15, 20 + hours, 5, tzinfo=UTC))


def test_a_session_that_stands_there_twice_is_that_of_the_latest_trade(serve):
    server = serve(after_close())
    close = datetime(2020, 12, 15, 21, 0, 1, tzinfo=UTC)
    latest = [pl.lit(close).cast(pl.Datetime("us", "UTC")).alias("start"), pl.col("volume") + 300]
    server.provider.change = lambda rows: pl.concat([rows, rows.tail(1).with_columns(latest)])
    bars, truth = fetch(server), server.provider.world.expected(["AAPL"], "1d")
    assert_frame_equal(bars[:-1], truth[:-1], check_exact=True)
    assert bars["volume"][-1] == truth["volume"][-1] + 300


@pytest.mark.parametrize(("frequency", "start"), [("1d", None), ("1h", "2020-11-25")])
def test_rows_that_come_twice_and_in_any_order_are_one_bar_each(serve, frequency, start):
    server = serve(after_close())
    server.provider.change = lambda rows: pl.concat([rows.tail(30), rows]).reverse()
    bars, truth = fetch(server, "MSFT", start, None, frequency), after_close().expected
    since = pl.col("timestamp").dt.date() >= (date(2020, 11, 25) if start else date.min)
    assert_frame_equal(bars, truth(["MSFT"], frequency).filter(since), check_exact=True)


@pytest.mark.parametrize("now", ["2020-12-15T15:07:30+00:00", "2020-12-15T21:05:00+00:00"])
def test_the_latest_trade_is_no_intraday_bar(serve, now):
    world = replace(make_world(SYMBOLS, intraday="1h"), now=datetime.fromisoformat(now))
    server = serve(world)
    trade = min(world.now, datetime(2020, 12, 15, 21, tzinfo=UTC))
    latest = pl.lit(trade).cast(pl.Datetime("us", "UTC")).alias("start")
    server.provider.change = lambda rows: pl.concat([rows, rows.tail(1).with_columns(latest)])
    bars = fetch(server, "MSFT", "2020-12-14", "2020-12-15", "1h", adjustment="split")
    recent = pl.col("timestamp") > datetime(2020, 12, 14, tzinfo=UTC)
    assert_frame_equal(bars, world.expected(["MSFT"], "1h").filter(recent), check_exact=True)


def test_intraday_prices_from_before_a_split_are_noticed(serve):
    server = serve()
    before = pl.when(pl.col("start") < datetime(2020, 8, 31, tzinfo=UTC)).then(4.0).otherwise(1.0)
    server.provider.change = lambda rows: (
        rows if rows["adjusted"].null_count() < len(rows)
        else rows.with_columns(pl.col("open", "high", "low", "close") * before)
    )  # fmt: skip
    with pytest.raises(UnadjustableError, match=r"AAPL.*2020-03-05.*not adjusted for the same"):
        fetch(server, frequency="1h")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (Reply(b"Will be right back...", 200), OutageError),
        (Reply(b"<html>Sad panda</html>", 502), OutageError),
        (Reply(b"Edge: Too Many Requests", 429), RateLimitError),
        (Reply(b"Request denied", 999), RateLimitError),
        (Reply(b"Forbidden", 403), AuthenticationError),
        (Reply.of_json({"chart": {"result": None, "error": {
            "code": "Unprocessable Entity",
            "description": "1m data not available for startTime=1 and endTime=2. Only 8 days worth "
            "of 1m granularity data are allowed to be fetched per request."}}}, 422),
         RefusedRequestError),
        (Reply.of_json({"chart": {"result": None, "error": {
            "code": "Bad Request",
            "description": "Data doesn't exist for startDate = 1, endDate = 2"}}}, 400),
         DelistedSymbolError),
        (Reply.of_json({"chart": {"result": None, "error": {
            "code": "Not Found", "description": "No data found, symbol may be delisted"}}}, 404),
         UnknownSymbolError),
        (Reply.of_json({"chart": {"error": None, "result": [{
            "meta": {"exchangeTimezoneName": "America/New_York"}, "timestamp": [1591018200, None],
            "indicators": {"quote": [{name: [9.0, 9.0] for name in VALUE_COLUMNS}]}}]}}),
         MalformedAnswerError),
    ],
)  # fmt: skip
def test_yahoos_words_are_errors_of_their_own(serve, words, error):
    server = serve()
    server.provider.words = words
    with pytest.raises(error, match="AAPL") as caught:
        fetch(server, start=date(2020, 6, 1), end=date(2020, 6, 30))
    assert type(caught.value) is error


def test_a_symbol_that_was_traded_lately_and_no_longer_is_delisted(serve):
    server = serve()
    with pytest.raises(DelistedSymbolError, match=r"GONE .*after 2020-06-30"):
        fetch(server, "GONE", date(2020, 7, 5), date(2020, 7, 31))


@pytest.mark.parametrize("frequency", ["1h", "1m", "90m"])
def test_a_range_beyond_yahoos_reach_says_from_when_on_there_are_bars(serve, frequency):
    with pytest.raises(DateRangeError, match=r"the last \d+ days, from 20.*Ask from then on"):
        fetch(serve(), start=date(2018, 1, 2), end=date(2018, 1, 3), frequency=frequency)


def test_minutes_are_asked_for_a_week_at_a_time(serve):
    world = make_world(SYMBOLS, intraday="1m")
    server = serve(world)
    bars = fetch(server, "MSFT", frequency="1m")
    whole = world.expected(["MSFT"], "1m")
    assert_frame_equal(
        bars, whole.filter(pl.col("timestamp") > world.now - timedelta(days=30)), check_exact=True
    )
    spans = [
        (int(each.query["period1"]), int(each.query["period2"]))
        for each in charts(server)
        if each.query["interval"] == "1m"
    ]
    assert len(spans) == 5
    assert all(last - first <= 7 * 86_400 for first, last in spans)
    assert [last for _, last in spans[:-1]] == [first for first, _ in spans[1:]]


def test_the_last_hour_ends_with_the_session(serve):
    """At 16:00 in New York, on the day after Thanksgiving at 13:00."""
    server = serve(make_world(SYMBOLS, intraday="30m"))
    bars = fetch(server, "MSFT", "2020-11-27", "2020-11-30", "1h")
    ends = bars["timestamp"].dt.convert_time_zone("America/New_York").dt.strftime("%d %H:%M")
    assert ends.to_list() == [
        "27 10:30", "27 11:30", "27 12:30", "27 13:00",
        "30 10:30", "30 11:30", "30 12:30", "30 13:30", "30 14:30", "30 15:30", "30 16:00",
    ]  # fmt: skip


def test_hours_in_the_place_of_half_hours_are_noticed(serve):
    server = serve()
    server.provider.adjusted = lambda symbol, interval: Yahoo.adjusted(
        server.provider, symbol, "1h" if interval == "30m" else interval
    )
    with pytest.raises(MalformedAnswerError, match="MSFT of which none begins half an hour"):
        fetch(server, "MSFT", "2020-11-25", "2020-12-14", "30m")


@pytest.mark.parametrize("calendar", ["XLON", "24/7", "24/5"])
def test_the_sessions_are_those_of_the_market_that_yahoo_names(serve, calendar):
    server = serve(make_world(("VOD.L", "B", "C"), calendar, "1h", events=False))
    truth = server.provider.world.expected(["VOD.L"], "1d")
    assert_frame_equal(fetch(server, "VOD.L"), truth, check_exact=True)


def test_yfinances_own_state_is_left_alone(serve):
    from yfinance.data import YfData

    theirs = YfData()
    before = (theirs._session, theirs._crumb, yfinance.config.debug.hide_exceptions)
    fetch(serve())
    assert before == (YfData()._session, YfData()._crumb, yfinance.config.debug.hide_exceptions)


def test_a_crumb_is_fetched_once_after_a_cookie(serve):
    server = serve()
    source = source_of(server)
    for symbol in ("AAPL", "MSFT"):
        asyncio.run(source.fetch([symbol], date(2020, 6, 1), date(2020, 6, 30), "1d"))
    hosts = [call.request.headers["x-host"] for call in server.calls]
    assert hosts[0] == "fc.yahoo.com"
    assert hosts.count("query1.finance.yahoo.com") == 1


def test_a_crumb_that_yahoo_no_longer_knows_is_renewed(serve):
    server = serve()
    source = source_of(server)
    request = (["AAPL"], date(2020, 6, 1), date(2020, 6, 30), "1d")
    first = asyncio.run(source.fetch(*request))
    server.provider.crumb = "another/0ne"
    assert asyncio.run(source.fetch(*request)).equals(first)


def test_an_ingest_without_dates_takes_everything_in_a_request_a_symbol(serve):
    server = serve()
    ingest(source_of(server), "all", symbols=["AAPL", "MSFT"])
    record = BundleMetadata.load("all")
    truth = server.provider.world.expected(["AAPL", "MSFT"], "1d")
    assert record.row_count == len(truth)
    assert record.start_date.date() == truth["timestamp"].min()
    assert sorted(each.symbol for each in charts(server)) == ["AAPL", "MSFT"]


@pytest.mark.parametrize("options", [{"adjustment": "all"}, {"calendar": "MARS"}])
def test_an_option_that_cannot_be_is_refused_at_once(options):
    with pytest.raises((OptionError, ValueError), match=r"all|MARS"):
        YFinanceDataSource(**options)


@pytest.mark.parametrize(
    ("frequency", "bars", "calls"), [("1d", 5_000, 10), ("1h", 500, 20), ("1m", 7_800, 50)]
)
def test_it_says_how_many_requests_it_takes(frequency, bars, calls):
    assert YFinanceDataSource().calls_needed(10, bars, frequency) == calls


@pytest.mark.parametrize(
    ("symbols", "calendar"),
    [
        (["AAPL", "BRK-B", "BAC-PL"], "XNYS"),
        (["VOD.L", "OCDO.L"], "XLON"),
        (["EURUSD=X"], "24/5"),
        (["BTC-USD", "ETH-USDT"], "24/7"),
        (["AAPL", "VOD.L"], None),
        (["^FTSE"], None),
        (["A.XX"], None),
    ],
)
def test_the_spelling_of_symbols_tells_their_market(symbols, calendar):
    assert YFinanceDataSource().calendar_of(symbols) == calendar
    assert YFinanceDataSource(calendar="XPAR").calendar_of(symbols) == "XPAR"


def test_a_bundle_of_crypto_has_its_weekends(serve):
    server = serve(make_world(("BTC-USD", "B", "C"), "24/7", "1h", events=False))
    ingest(source_of(server), "crypto", symbols=["BTC-USD"])
    record = BundleMetadata.load("crypto")
    assert record.calendar == "24/7"
    assert record.row_count == len(server.provider.world.expected(["BTC-USD"], "1d"))


def test_a_bundle_says_that_prices_are_in_pence(serve):
    server = serve(make_world(("VOD.L", "B", "C"), "XLON", "1h", events=False))
    ingest(source_of(server), "london", symbols=["VOD.L"])
    record = BundleMetadata.load("london")
    assert record.calendar == "XLON"
    assert "The prices and dividends of VOD.L are in pence (GBp)." in record.notes


@pytest.mark.parametrize("extended", [False, True])
def test_trading_before_the_open_is_had_on_request(serve, extended):
    server = serve()
    early = pl.lit(datetime(2020, 12, 14, 12, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    server.provider.change = lambda rows: (
        pl.concat([rows.tail(1).with_columns(early.alias("start")), rows]).sort("start")
        if rows["adjusted"].null_count() else rows
    )  # fmt: skip
    bars = fetch(server, "MSFT", "2020-12-14", "2020-12-14", "1h", extended_hours=extended)
    first = datetime(2020, 12, 14, 13 if extended else 15, 0 if extended else 30, tzinfo=UTC)
    assert bars["timestamp"][0] == first
    intraday = charts(server)[-1]
    assert intraday.query["includePrePost"] == str(extended).lower()


def test_days_without_an_open_are_refused_with_what_to_do(serve):
    """Yahoo has 0 there for many a day before 1982."""
    server = serve()
    none = pl.when(pl.int_range(pl.len()) < 3).then(0.0).otherwise(pl.col("open")).alias("open")
    server.provider.change = lambda rows: rows.with_columns(none)
    with pytest.raises(BarValidationError, match="zero or negative") as caught:
        fetch(server, "MSFT")
    assert len(caught.value.findings) == 3
    assert "ask for a range without those days" in str(caught.value)
    assert len(fetch(server, "MSFT", start=date(2020, 3, 5)))
