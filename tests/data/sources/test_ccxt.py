"""What is particular to exchanges, through ccxt's own client."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from rustybt.data.bars import Frequency
from rustybt.data.errors import (
    AuthenticationError,
    DelistedSymbolError,
    FrequencyError,
    MalformedAnswerError,
    OptionError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    SourceError,
    UnknownSymbolError,
)
from rustybt.data.sources._ccxt_bars import DAY, to_bars
from rustybt.data.sources.adapters import Budget, Rate, Retries
from rustybt.data.sources.ccxt import CCXTDataSource
from rustybt.data.sources.testing import LoopbackServer, Reply, World
from tests.data.sources.exchanges import Binance, Coinbase, Kraken

BTC = "BTC/USDT"
NOW = datetime(2024, 3, 1, 12, 0, 30, tzinfo=UTC)
BINANCE = {"public": "/api/v3", "fapiPublic": "/fapi/v1", "dapiPublic": "/dapi/v1"}
AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


def minutes(count, symbol=BTC, until=NOW):
    """Bars of a minute, the last of which is forming at `until`."""
    last = until.replace(second=0) + timedelta(minutes=1)
    ends = [last - timedelta(minutes=back) for back in reversed(range(count))]
    prices = {name: [100.0] * count for name in ("open", "high", "low", "close")}
    frame = pl.DataFrame({"symbol": [symbol] * count, "timestamp": ends, **prices})
    volume = pl.Series("volume", range(count), pl.Float64)
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")), volume)


def days(*dates, symbol=BTC):
    prices = {name: [100.0] * len(dates) for name in ("open", "high", "low", "close", "volume")}
    return pl.DataFrame({"symbol": [symbol] * len(dates), "timestamp": list(dates), **prices})


def world(bars, now=NOW, **facts):
    return World(bars, now=now, calendar="24/7", **facts)


def source_at(server, exchange_id="binance", clock=lambda: NOW, **options):
    url = server.base_url
    paths = BINANCE if exchange_id == "binance" else {"public": ""}
    urls = {name: f"{url}{path}" for name, path in paths.items()}
    options.setdefault("budget", Budget("exchange"))
    given = {"enableRateLimit": False, "urls": {"api": urls}} | options.pop("exchange_options", {})
    return CCXTDataSource(
        exchange_id, exchange_options=given, retries=AT_ONCE, clock=clock, **options
    )


def fetch(source, start, end=NOW, frequency="1m", symbols=(BTC,)):
    return asyncio.run(source.fetch(list(symbols), start, end, frequency))


class Broken(Binance):
    """Answers requests for bars with something else."""

    instead: Reply

    def respond(self, request):
        return self.instead if request.path == "/api/v3/klines" else super().respond(request)


class BrokenKraken(Kraken):
    """Answers requests for bars with none, and says whose they would be."""

    def respond(self, request):
        if request.path.endswith("/OHLC"):
            return Reply.of_json({"error": [], "result": {"last": 0, "for": "k-of-user"}})
        return super().respond(request)


def fetch_broken(status, body, options=(), **headers):
    provider = Broken(world({"1m": minutes(3)}))
    provider.instead = Reply.of_json(body, status, **headers)
    with LoopbackServer(provider) as server:
        return fetch(source_at(server, exchange_options=dict(options)), date(2024, 3, 1))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"code": -1121, "msg": "Invalid symbol."}, UnknownSymbolError),
        (400, {"code": -1100, "msg": "Illegal characters."}, RefusedRequestError),
        (401, {"code": -2014, "msg": "API-key format invalid."}, AuthenticationError),
        (403, {"msg": "WAF limit"}, AuthenticationError),
        (404, {"msg": "not here"}, RefusedRequestError),
        (418, {"code": -1003, "msg": "IP banned"}, RateLimitError),
        (429, {"code": -1003, "msg": "Too many requests"}, RateLimitError),
        (451, {"msg": "restricted location"}, RefusedRequestError),
        (500, {"msg": "internal"}, OutageError),
        (503, {"code": -1008, "msg": "overloaded"}, OutageError),
        (529, {"msg": "unheard of"}, OutageError),
        (200, {}, MalformedAnswerError),
        (200, {"error": [], "msg": "fine"}, MalformedAnswerError),
        (200, [["x", "1", "1", "1", "1", "1"]], MalformedAnswerError),
        (200, [1, 2], MalformedAnswerError),
    ],
)
def test_each_failure_is_an_error_of_its_own(status, body, error):
    with pytest.raises(error):
        fetch_broken(status, body)


def test_a_ban_says_how_long_it_lasts():
    with pytest.raises(RateLimitError) as caught:
        fetch_broken(418, {"code": -1003, "msg": "IP banned"}, **{"Retry-After": "7200"})
    assert caught.value.retry_after == 7200


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"msg": "down, dear k-of-user"}),
        (404, {"msg": "k-of-user"}),
        (401, {"code": -2014, "msg": "k-of-user is no key"}),
        (200, {"msg": "k-of-user"}),
    ],
)
def test_a_key_among_the_options_stands_in_no_message(status, body):
    with pytest.raises(SourceError) as caught:
        fetch_broken(status, body, {"apiKey": "k-of-user"})
    assert "k-of-user" not in f"{caught.value} {caught.value!r}"


def test_an_answer_in_the_place_of_bars_is_told_without_the_key():
    told = world({"1m": minutes(3)})
    provider = BrokenKraken(told)
    with LoopbackServer(provider) as server, pytest.raises(MalformedAnswerError) as caught:
        fetch(source_at(server, "kraken", api_key="k-of-user"), date(2024, 3, 1))
    assert "without a list of bars" in str(caught.value)
    assert "k-of-user" not in str(caught.value)


def test_an_empty_list_is_no_failure():
    assert fetch_broken(200, []).is_empty()


def test_every_decimal_of_fifteen_digits_comes_back():
    bars = minutes(3).with_columns(
        low=pl.Series([0.00001234, 0.00001233, 0.00001234]),
        open=pl.Series([0.00001235, 0.123456789012345, 0.00001235]),
        close=pl.Series([0.00001236, 43000.1, 0.00001236]),
        high=pl.Series([0.1 + 0.2, 123456789.012345, 1.0]),
        volume=pl.Series([4.5e12, 0.7, 123456789012.345]),
    )
    told = world({"1m": bars})
    with LoopbackServer(Binance(told)) as server:
        got = fetch(source_at(server), date(2024, 3, 1))
    assert got.equals(told.expected([BTC], "1m"))
    assert len(got) == 2


def test_a_frequency_that_the_exchange_lacks_is_refused_without_asking():
    with LoopbackServer(Binance(world({"1m": minutes(3)}))) as server:
        for frequency in ("7m", "10m", "2d"):
            with pytest.raises(FrequencyError, match="15m"):
                fetch(source_at(server), date(2024, 3, 1), frequency=frequency)
        assert server.calls == []


def test_kraken_says_from_when_on_it_has_bars():
    told = world({"1m": minutes(2000)})
    with LoopbackServer(Kraken(told)) as server:
        source = source_at(server, "kraken")
        with pytest.raises(RefusedRequestError, match="newest 720") as caught:
            fetch(source, date(2024, 2, 29))
        assert "2024-03-01 00:00 UTC" in str(caught.value)
        bars = fetch(source, datetime(2024, 3, 1, 0, 1, tzinfo=UTC))
    assert bars.equals(told.expected([BTC], "1m").tail(720))


def test_a_young_market_of_kraken_has_all_its_bars():
    told = world({"1m": minutes(500)})
    with LoopbackServer(Kraken(told)) as server:
        assert len(fetch(source_at(server, "kraken"), date(2024, 2, 1))) == 499


def test_a_bar_that_kraken_has_not_committed_is_left_out_although_our_clock_is_fast():
    told = world({"1m": minutes(5)})
    with LoopbackServer(Kraken(told)) as server:
        fast = source_at(server, "kraken", clock=lambda: NOW + timedelta(minutes=5))
        bars = fetch(fast, date(2024, 3, 1), NOW + timedelta(hours=1))
    assert bars.equals(told.expected([BTC], "1m"))


def test_bars_from_listing_to_now_are_no_truncated_answer():
    told = world({"1m": minutes(1000)})
    with LoopbackServer(Binance(told)) as server:
        assert len(fetch(source_at(server), date(2024, 1, 1))) == 999


def test_minutes_before_a_market_existed_are_not_asked_for_window_by_window():
    old, rest = days(date(2016, 5, 3)), days(date(2024, 2, 29), date(2024, 3, 1))
    then = datetime(2016, 5, 3, 0, 4, tzinfo=UTC)
    bars = pl.concat([minutes(5, until=then), minutes(400)])
    told = world({"1m": bars, "1d": pl.concat([old, rest])})
    with LoopbackServer(Coinbase(told)) as server:
        got = fetch(source_at(server, "coinbaseexchange"), date(2015, 1, 1))
        assert got.equals(told.expected([BTC], "1m"))
        assert len(server.calls) < 100  # of which two a window would be 30 000


@pytest.mark.parametrize(
    "daily", [{}, {"1d": days(date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1))}]
)
@pytest.mark.parametrize(
    ("exchange_id", "provider"), [("binance", Binance), ("coinbaseexchange", Coinbase)]
)
def test_the_time_when_an_exchange_was_down_has_no_rows(exchange_id, provider, daily):
    rows = minutes(2500).with_row_index()
    told = world({"1m": rows.filter(~pl.col("index").is_between(900, 2100)).drop("index"), **daily})
    with LoopbackServer(provider(told)) as server:
        got = fetch(source_at(server, exchange_id), date(2024, 2, 28))
    assert got.equals(told.expected([BTC], "1m"))


def test_a_week_is_labelled_with_its_last_day():
    monday = date(2024, 1, 1)
    rows = np.array([[(monday - date(1970, 1, 1)).days * DAY, 1.0, 1.0, 1.0, 1.0, 1.0]])
    week = to_bars(rows, BTC, Frequency.parse("1w"))
    assert week["timestamp"].to_list() == [date(2024, 1, 7)]


def test_days_that_do_not_begin_at_midnight_are_no_sessions():
    rows = np.array([[19_000 * DAY + 16 * 3_600_000, 1.0, 1.0, 1.0, 1.0, 1.0]])
    with pytest.raises(RefusedRequestError, match="16:00"):
        to_bars(rows, BTC, Frequency.parse("1d"))


def test_an_id_of_the_exchange_leads_to_the_symbol():
    refused = pytest.raises(UnknownSymbolError, match="It has: BTC/USDT")
    with LoopbackServer(Binance(world({"1m": minutes(3)}))) as server, refused:
        fetch(source_at(server), date(2024, 3, 1), symbols=["BTCUSDT"])


def test_a_closed_market_without_bars_is_delisted():
    told = world({"1m": minutes(3)}, delisted={"FTT/USDT": date(2022, 11, 15)})
    with LoopbackServer(Binance(told)) as server, pytest.raises(DelistedSymbolError):
        fetch(source_at(server), date(2024, 3, 1), symbols=["FTT/USDT"])


def paths(server):
    return [call.request.path for call in server.calls]


def test_markets_are_asked_for_once_and_no_more_of_them_than_needed():
    with LoopbackServer(Binance(world({"1m": minutes(3)}))) as server:
        source = source_at(server)
        first = NOW - timedelta(minutes=1)
        fetch(source, first)
        fetch(source, first)
        assert paths(server) == ["/api/v3/exchangeInfo", *["/api/v3/klines"] * 2]
        server.forget()
        assert asyncio.run(source.list_symbols()) == [BTC]
        fetch(source, first)
        *markets, bars = paths(server)
        assert sorted(markets) == [f"{path}/exchangeInfo" for path in sorted(BINANCE.values())]
        assert bars == "/api/v3/klines"


def test_requests_take_what_they_cost_from_the_shared_budget():
    cost_of_markets = 4
    budget = Budget("exchange", [Rate(cost_of_markets + 0.1, 3600)], patience=1)
    with LoopbackServer(Binance(world({"1m": minutes(3)}))) as server:
        for _ in range(2):
            with pytest.raises(RateLimitError):
                fetch(source_at(server, budget=budget), date(2024, 3, 1))
        assert paths(server) == ["/api/v3/exchangeInfo"]


@pytest.mark.parametrize(("name", "hint"), [("binace", "binance"), ("NASDAQ", "does not have")])
def test_an_exchange_that_ccxt_lacks_is_refused(name, hint):
    with pytest.raises(OptionError, match=hint):
        CCXTDataSource(name)


def test_secrets_in_options_stand_in_no_metadata(monkeypatch):
    monkeypatch.setenv("CCXT_BINANCE_API_KEY", "from the environment")
    options = {
        "apiKey": "a", "secret": "b", "password": "c", "httpsProxy": "http://me:d@proxy",
        "options": {"defaultType": "swap", "token": "e"}, "sandbox": True,
    }  # fmt: skip
    metadata = CCXTDataSource(exchange_options=options, secret="f").get_metadata()  # noqa: S106
    assert metadata.config == {
        "exchange_id": "binance", "options": {"defaultType": "swap"}, "sandbox": True,
    }  # fmt: skip
