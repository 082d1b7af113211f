"""Twenty-three years of AAPL, with four splits and its dividends, through Massive and Alpaca."""

import asyncio
import io
import json
import zipfile
from datetime import UTC, datetime
from urllib.request import Request, urlopen

import polars as pl
import pytest

from rustybt.data.adjustments import Events, adjust, conform_events, price_ratios
from rustybt.data.sources.alpaca import AlpacaDataSource
from rustybt.data.sources.polygon import PolygonDataSource
from rustybt.data.sources.testing import LoopbackServer, World
from tests.data.sources.alpaca_provider import AlpacaProvider
from tests.data.sources.massive_provider import MassiveProvider
from tests.data.sources.recorded import needs_recordings, recorded

pytestmark = needs_recordings
NAMES = ["time", "open", "high", "low", "close", "volume"]


def real_bars():
    """AAPL as it was traded, 1998 to 2021."""
    packed = zipfile.ZipFile(io.BytesIO(recorded("lean/equity/usa/daily/aapl.zip")))
    rows = pl.read_csv(packed.read("aapl.csv"), has_header=False, new_columns=NAMES)
    return rows.select(
        pl.lit("AAPL").alias("symbol"),
        pl.col("time").str.slice(0, 8).str.to_date("%Y%m%d").alias("timestamp"),
        *((pl.col(name) / 10_000).alias(name) for name in NAMES[1:5]),
        pl.col("volume").cast(pl.Float64),
    )


def real_factors():
    """The factors of prices and of splits, and the last day on which they hold."""
    names = ["last", "price", "split", "reference"]
    rows = pl.read_csv(
        recorded("lean/equity/usa/factor_files/aapl.csv"), has_header=False, new_columns=names
    )
    return rows.with_columns(pl.col("last").cast(pl.String).str.to_date("%Y%m%d"))


def real_events(bars, factors):
    """The splits and dividends that make the factors change, on the session after."""
    days = bars.select(ex_date="timestamp", before=pl.col("close").shift())
    changes = factors.with_columns(
        ratio=(pl.col("split") / pl.col("split").shift(-1)).round(4),
        kept=pl.col("price") / pl.col("price").shift(-1),
        after=pl.col("last").dt.offset_by("1d"),
    ).join_asof(days, left_on="after", right_on="ex_date", strategy="forward")
    told = changes.filter(pl.col("ratio").is_not_null()).with_columns(symbol=pl.lit("AAPL"))
    paid = told.filter(pl.col("kept") < 1 - 1e-7).with_columns(
        amount=pl.col("before") * (1 - pl.col("kept")), record_date="ex_date", pay_date="ex_date"
    )
    splits = told.filter((pl.col("ratio") - 1).abs() > 0.01).with_columns(
        ratio=1 / (1 / pl.col("ratio")).round()
    )
    return Events(
        splits=conform_events("splits", splits), dividends=conform_events("dividends", paid)
    )


@pytest.fixture(scope="module")
def world():
    bars = real_bars()
    events = real_events(bars, real_factors())
    return World({"1d": bars}, events, now=datetime(2021, 6, 1, tzinfo=UTC))


@pytest.fixture(params=[MassiveProvider, AlpacaProvider])
def server(request, world):
    with LoopbackServer(request.param(world)) as running:
        running.provider.page_size = 500
        yield running


@pytest.fixture
def source(server):
    if isinstance(server.provider, MassiveProvider):
        return PolygonDataSource(server.provider.secret, base_url=server.base_url)
    urls = {"base_url": server.base_url, "trading_url": server.base_url}
    return AlpacaDataSource("PK123", server.provider.secret, requests_per_minute=None, **urls)


def fetched(source):
    request = (["AAPL"], "1998-01-01", "2021-05-31")
    bars = asyncio.run(source.fetch(*request, "1d"))
    return bars, asyncio.run(source.fetch_events(*request))


def test_every_session_is_as_it_was_traded(source, world):
    bars, events = fetched(source)
    assert bars.equals(world.bars["1d"])
    splits = dict(events.splits.select("ex_date", "ratio").rows())
    assert {str(day): ratio for day, ratio in splits.items()} == {
        "2000-06-21": 0.5, "2005-02-28": 0.5, "2014-06-09": 1 / 7, "2020-08-31": 0.25,
    }  # fmt: skip
    assert len(events.dividends) > 20


def test_the_adjusted_series_of_the_factors_follows(source):
    bars, events = fetched(source)
    derived = adjust(bars, price_ratios(bars, events), bars["timestamp"].max())
    # The file rounds 1/56 to seven digits.
    shares = (1 / pl.col("split")).round()
    factors = real_factors().with_columns(factor=pl.col("price") / shares)
    theirs = bars.join_asof(factors, left_on="timestamp", right_on="last", strategy="forward")
    off = (derived["close"] / (theirs["close"] * theirs["factor"]) - 1).abs().max()
    assert off < 1e-6


def test_massive_s_own_adjusted_series_follows(world):
    with LoopbackServer(MassiveProvider(world)) as server:
        source = PolygonDataSource(server.provider.secret, base_url=server.base_url)
        bars, events = fetched(source)
        target = "/v2/aggs/ticker/AAPL/range/1/day/1998-01-01/2021-05-31?adjusted=true&limit=50000"
        headers = {"Authorization": f"Bearer {server.provider.secret}"}
        with urlopen(Request(server.base_url + target, headers=headers)) as answer:  # noqa: S310  loopback
            theirs = json.load(answer)["results"]
    derived = adjust(bars, price_ratios(bars, Events(splits=events.splits)), world.now.date())
    for name, short in (("close", "c"), ("volume", "v")):
        their = pl.Series([row[short] for row in theirs])
        assert (derived[name] / their - 1).abs().max() < 1e-6
