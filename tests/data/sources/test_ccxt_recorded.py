"""Exchanges as they were recorded; skipped where the recordings are not."""

import asyncio
import csv
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import polars as pl

from rustybt.data.sources.testing import LoopbackServer, Provider, Reply, World
from tests.data.sources.exchanges import Coinbase
from tests.data.sources.recorded import DATA, needs_recordings, recorded
from tests.data.sources.test_ccxt import source_at

pytestmark = needs_recordings
LATER = datetime(2026, 1, 1, tzinfo=UTC)


def read(name):
    return json.loads(recorded(f"responses/{name}"))


class Recorded(Provider):
    """Answers the same each time, by the end of the path."""

    answers: dict[str, object]

    def symbol_of(self, request):
        return None

    def respond(self, request):
        return Reply.of_json(self.answers[request.path.rpartition("/")[2]])


def fetched(exchange_id, answers, symbol, start, end):
    provider = Recorded(World({}))
    provider.answers = answers
    with LoopbackServer(provider) as server:
        source = source_at(server, exchange_id, clock=lambda: LATER)
        return asyncio.run(source.fetch([symbol], start, end, "1m"))


def moment(milliseconds):
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def assert_rows(bars, rows, begin):
    """Times at the end, prices and volume as they are written."""
    assert bars["timestamp"].to_list() == [begin(row) + timedelta(minutes=1) for row in rows]
    for name, column in (("open", 1), ("high", 2), ("low", 3), ("close", 4)):
        assert bars[name].to_list() == [float(row[column]) for row in rows]


def test_binance_candles():
    rows = read("binance/http_spot_market_klines.json")
    markets = read("binance/http_spot_market_exchange_info.json")
    first, last = (moment(rows[at][0]) + timedelta(minutes=1) for at in (0, -1))
    answers = {"exchangeInfo": markets, "klines": rows}
    bars = fetched("binance", answers, "BTC/USDT", first, last)
    assert_rows(bars, rows, lambda row: moment(row[0]))
    assert bars["volume"].to_list() == [float(row[5]) for row in rows]


def test_kraken_candles_but_the_uncommitted_one():
    answer = read("kraken/http_ohlc.json")
    rows = answer["result"]["XBTUSDT"][:-1]
    first, last = (moment(rows[at][0] * 1000) + timedelta(minutes=1) for at in (0, -1))
    answers = {"AssetPairs": read("kraken/http_asset_pairs.json"), "OHLC": answer}
    bars = fetched("kraken", answers, "BTC/USDT", first, last)
    assert_rows(bars, rows, lambda row: moment(row[0] * 1000))
    assert bars["volume"].to_list() == [float(row[6]) for row in rows]


def lean_minutes(name):
    """Minutes of a day in LEAN's format: milliseconds since midnight of their beginning."""
    path = DATA / "lean/crypto/coinbase/minute/btcusd" / f"{name}_trade.zip"
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode())))
    midnight = datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC)
    times = [midnight + timedelta(milliseconds=int(row[0]) + 60_000) for row in rows]
    values = {
        column: [float(row[at]) for row in rows]
        for at, column in enumerate(("open", "high", "low", "close", "volume"), start=1)
    }
    frame = pl.DataFrame({"symbol": ["BTC/USD"] * len(rows), "timestamp": times, **values})
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


def test_a_day_of_real_minutes_comes_back_as_it_was_traded():
    bars = pl.concat([lean_minutes("20180404"), lean_minutes("20180405")])
    world = World({"1m": bars}, now=datetime(2018, 4, 7, tzinfo=UTC), calendar="24/7")
    with LoopbackServer(Coinbase(world)) as server:
        source = source_at(server, "coinbaseexchange", clock=lambda: world.now)
        request = (["BTC/USD"], "2018-04-04", "2018-04-05", "1m")
        assert asyncio.run(source.fetch(*request)).equals(bars)
