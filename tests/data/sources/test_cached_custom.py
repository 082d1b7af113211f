"""A cache in front of a source that was written by the document alone."""

import asyncio
import shutil
from datetime import date, timedelta

import pandas as pd
import polars as pl
import pytest

from rustybt.data.polars.data_portal import PolarsDataPortal
from rustybt.data.sources.base import DataSource, DataSourceMetadata
from rustybt.data.sources.cached_source import CachedDataSource
from tests.fakes import FrozenClock

MONTH = (pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-31"))


class WeekdaySource(DataSource):
    """Uses what only a pandas timestamp has, and answers unsorted, with more than was asked for."""

    def __init__(self, calendar=None, settle_lag=timedelta(0)):
        self.requests = []
        self.calendar = calendar
        self.settle_lag = settle_lag

    async def fetch(self, symbols, start, end, frequency):
        self.requests.append((symbols, start, end))
        step = "B" if frequency == "1d" else "min"
        margin = pd.Timedelta(days=2 if frequency == "1d" else 0)
        times = pd.date_range(start.ceil("min") - margin, end.floor("min") + margin, freq=step)
        rows = [(symbol, time.to_pydatetime(), 100) for symbol in symbols[::-1] for time in times]
        frame = pl.DataFrame(rows, ["symbol", "timestamp", "volume"], orient="row")
        values = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "vwap": 1.2}
        return frame.with_columns(pl.lit(value).alias(name) for name, value in values.items())

    def get_metadata(self):
        return DataSourceMetadata("weekdays", frequencies=("1d", "1m"), settle_lag=self.settle_lag)

    def calendar_of(self, symbols):
        return self.calendar if symbols == ["AAA"] else None


@pytest.fixture
def source():
    return WeekdaySource()


@pytest.fixture
def cached(source, tmp_path):
    return CachedDataSource(source, tmp_path / "cache")


def fetch(source, symbols, start, end, frequency="1d"):
    return asyncio.run(source.fetch(symbols, start, end, frequency))


def test_it_is_asked_with_the_timestamps_of_the_interface(source, cached):
    bars = fetch(cached, ["BBB", "AAA"], *MONTH)
    assert source.requests == [(["AAA", "BBB"], *MONTH)]
    assert bars["symbol"].unique(maintain_order=True).to_list() == ["AAA", "BBB"]
    assert (bars["timestamp"].min(), bars["timestamp"].max()) == (date(2024, 1, 2), MONTH[1].date())
    assert bars.equals(fetch(cached, ["AAA", "BBB"], *MONTH))
    assert len(source.requests) == 1


def test_it_is_asked_for_minutes_in_utc(source, cached):
    hour = [pd.Timestamp(text) for text in ("2024-01-31 10:00-05:00", "2024-01-31 11:00-05:00")]
    bars = fetch(cached, ["AAA"], *hour, "1m")
    assert source.requests == [(["AAA"], *hour)]
    assert {str(asked.tz) for asked in source.requests[0][1:]} == {"UTC"}
    assert len(bars) == 61
    assert bars.equals(fetch(cached, ["AAA"], *hour, "1m"))


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_portal_reads_it(source, tmp_path, use_cache):
    portal = PolarsDataPortal(source, use_cache, cache_dir=tmp_path)
    window = portal.get_history_window(["AAA"], pd.Timestamp("2024-01-15"), 20, "1d", "close", "1d")
    assert asyncio.run(window)["AAA"].to_list() == [1.5] * 20


def test_a_directory_that_is_deleted_in_use_is_made_anew(source, cached):
    fetch(cached, ["AAA"], *MONTH)
    shutil.rmtree(cached.cache_dir)
    fetch(cached, ["AAA"], *MONTH)
    fetch(CachedDataSource(source, cached.cache_dir), ["AAA"], *MONTH)
    assert len(source.requests) == 2


def test_a_forming_bar_that_it_gives_is_not_passed_on(tmp_path):
    clock = FrozenClock("2024-03-08T18:00")  # Friday afternoon in New York
    cached = CachedDataSource(WeekdaySource("XNYS"), tmp_path, clock=clock)
    week = (pd.Timestamp("2024-03-04"), pd.Timestamp("2024-03-08"))
    for _ in range(2):
        assert fetch(cached, ["AAA"], *week)["timestamp"].max() == date(2024, 3, 7)
    clock.set("2024-03-08T21:00")
    assert fetch(cached, ["AAA"], *week)["timestamp"].max() == date(2024, 3, 8)


def test_the_market_of_its_symbols_decides_how_long_bars_are_fresh(tmp_path):
    clock = FrozenClock("2024-03-08T22:00")  # after Friday's close
    source = WeekdaySource("XNYS", timedelta(days=9))
    cached = CachedDataSource(source, tmp_path, clock=clock)
    week = (pd.Timestamp("2024-03-04"), pd.Timestamp("2024-03-11"))
    for now, requests in (("08T22:00", 1), ("11T13:00", 1), ("11T20:00", 2)):
        clock.set(f"2024-03-{now}")
        fetch(cached, ["AAA"], *week)
        assert len(source.requests) == requests
