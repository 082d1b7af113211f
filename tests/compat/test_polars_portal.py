"""A portal that is made with readers, as old code makes it, reads a bundle's bars."""

import asyncio
from datetime import date, datetime

import polars as pl
import pytest

from rustybt.compat.bundles import bundle_data
from rustybt.data.bundles.bundle import open_bundle
from rustybt.data.bundles.ingest import ingest
from rustybt.data.polars import PolarsDataPortal
from tests.fakes import FrameSource
from tests.frames import minutes, sessions, walk

DAILY = walk(["AAA", "BBB"], sessions("2020-02-03", "2020-02-28"))
MINUTES = walk(["AAA", "BBB"], minutes("2020-02-27", "2020-02-28"))


@pytest.fixture
def data():
    source = FrameSource({"1d": DAILY, "1m": MINUTES})
    ingest(source, "small", frequency=("1d", "1m"))
    return bundle_data(open_bundle("small"))


@pytest.fixture
def assets(data):
    return [data.asset_finder.lookup_symbol(name, as_of_date=None) for name in ("BBB", "AAA")]


@pytest.mark.parametrize(
    ("keyword", "reader", "frequency", "bars", "end"),
    [
        ("daily_reader", "equity_daily_bar_reader", "daily", DAILY, date(2020, 2, 20)),
        (
            "minute_reader",
            "equity_minute_bar_reader",
            "minute",
            MINUTES,
            datetime.fromisoformat("2020-02-28T14:33+00:00"),
        ),
    ],
)
def test_a_reader_is_a_source(data, assets, keyword, reader, frequency, bars, end):
    with pytest.warns(DeprecationWarning, match="pass data_source") as caught:
        portal = PolarsDataPortal(**{keyword: getattr(data, reader)})
    assert caught[0].filename == __file__
    window = asyncio.run(portal.get_history_window(assets, end, 5, frequency, "close"))
    for symbol in ("BBB", "AAA"):
        own = bars.filter((pl.col("symbol") == symbol) & (pl.col("timestamp") <= end))
        assert window[symbol].to_list() == own["close"][-5:].to_list()
    (value,) = asyncio.run(portal.get_spot_value(assets[:1], "volume", end, frequency))
    assert value == bars.filter(pl.col("symbol") == "BBB", pl.col("timestamp") == end)["volume"][0]
