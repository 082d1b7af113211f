"""The bridge functions as zipline's ingest functions: eleven arguments, through its writers."""

import pandas as pd
import polars as pl
import pytest
from zipline.data.bundles import core

from rustybt.compat.bundles import load, make_bundle_core
from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.adapter_bundles import (
    ccxt_hourly_profiling_bundle,
    ccxt_minute_profiling_bundle,
    csv_profiling_bundle,
    get_profiling_bundle_info,
    yfinance_profiling_bundle,
)
from rustybt.data.sources import DataSourceRegistry
from tests.fakes import FrameSource
from tests.frames import sessions, walk

pytestmark = pytest.mark.filterwarnings("ignore::deprecation.DeprecatedWarning")

HOURS = pd.date_range("2023-01-02 01:00", "2023-01-05 00:00", freq="h", tz="UTC")
COINS = walk(["BTC/USDT", "ETH/USDT"], list(HOURS.to_pydatetime()))


class Exchange(FrameSource):
    """A cryptocurrency exchange in memory."""

    def __init__(self, **options):
        bars = {"1h": COINS, "1m": COINS}
        super().__init__(bars, source_type="ccxt", calendar="24/7")


@pytest.fixture
def exchange():
    DataSourceRegistry.register("ccxt", Exchange)
    yield COINS
    DataSourceRegistry.unregister("ccxt")


def ingest(function, name: str, start: str, end: str, calendar: str = "XNYS"):
    """Let zipline's bundle machinery, on our writers, run a function as it was registered."""
    family = make_bundle_core(core._make_bundle_core())
    span = (pd.Timestamp(start), pd.Timestamp(end))
    family.register(name, function, calendar, *span)
    family.ingest(name)
    return open_bundle(name)


def test_yahoo_through_ziplines_writers(yahoo, zipline_root):
    bundle = ingest(yfinance_profiling_bundle, "mine", "2022-06-01", "2023-05-31")
    truth = yahoo.filter(
        pl.col("timestamp").is_between(*[d.date() for d in bundle.metadata.bounds])
    )
    found = bundle.bars()
    assert found["symbol"].to_list() == truth["symbol"].to_list()
    assert found["close"].to_list() == pytest.approx(truth["close"].to_list(), abs=0.0005)
    data = load("mine")
    assert {str(a.symbol) for a in data.asset_finder.retrieve_all(data.asset_finder.sids)} == set(
        yahoo["symbol"].unique()
    )


def test_csv_files_through_ziplines_writers(tmp_path, monkeypatch, zipline_root):
    bars = walk(["A", "B"], sessions("2023-01-03", "2023-03-31"))
    bars.rename({"timestamp": "date"}).write_csv(tmp_path / "prices.csv")
    monkeypatch.setenv("CSVDIR", str(tmp_path))
    bundle = ingest(csv_profiling_bundle, "mine", "2023-01-03", "2023-03-31")
    assert bundle.bars()["close"].to_list() == pytest.approx(bars["close"].to_list(), abs=0.0005)


@pytest.mark.parametrize("function", [ccxt_hourly_profiling_bundle, ccxt_minute_profiling_bundle])
def test_coins_by_their_symbols_and_dates(exchange, zipline_root, function):
    with pytest.warns(DeprecationWarning, match="CCXTDataSource"):
        path = function(symbols=["BTC/USDT"], start_date="2023-01-03", end_date="2023-01-04")
    bundle = open_bundle(path.parent.name)
    assert path == bundle.version.path
    assert bundle.metadata.symbols == ["BTC/USDT"]
    assert bundle.metadata.calendar == "24/7"
    assert get_profiling_bundle_info(path.parent.name)["source_type"] == "ccxt"


def test_an_argument_that_no_shape_has_is_a_type_error(zipline_root):
    with pytest.raises(TypeError, match="takes no ticker"):
        yfinance_profiling_bundle(ticker="AAPL")
