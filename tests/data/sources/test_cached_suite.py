"""A cached source under the suite for all sources: cold, warm, and over files."""

from datetime import date

import polars as pl
import pytest

from rustybt.data.adjustments import Events
from rustybt.data.sources.cached_source import CachedDataSource
from rustybt.data.sources.csv import CSVDataSource
from rustybt.data.sources.testing import DataSourceTests
from tests.data.sources.files import put
from tests.fakes import FrameSource
from tests.frames import dividends, minutes, sessions, splits, walk

SYMBOLS = ("AAA", "BBB")
DAILY = walk(SYMBOLS, sessions("2020-02-03", "2020-02-28"))
MINUTES = walk(SYMBOLS, minutes("2020-03-06", "2020-03-09"))
ROUND_THE_CLOCK = walk(SYMBOLS, minutes("2020-03-06", "2020-03-07", "24/7"))
EVENTS = Events(
    splits=splits(("AAA", "2020-02-10", 0.5)).splits,
    dividends=dividends(("BBB", "2020-02-12", 0.25, "2020-02-20")).dividends,
)


class CachedTests(DataSourceTests):
    symbols = SYMBOLS
    start, end = date(2020, 2, 1), date(2020, 2, 29)
    events = EVENTS

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def source(self):
        return FrameSource(DAILY, EVENTS)

    def make_source(self):
        return CachedDataSource(self.source(), self.folder / "cache")

    def expected(self):
        return DAILY


class TestBarsOfSessions(CachedTests):
    pass


class TestBarsOfAMarket(CachedTests):
    def source(self):
        return FrameSource(DAILY, EVENTS, calendar="XNYS")


class TestMinutes(CachedTests):
    start, end = MINUTES["timestamp"].min(), MINUTES["timestamp"].max()
    frequency = "1m"
    events = None

    def source(self):
        return FrameSource(MINUTES)

    def expected(self):
        return MINUTES


class TestMinutesRoundTheClock(TestMinutes):
    start, end = date(2020, 3, 6), date(2020, 3, 7)
    calendar = "24/7"

    def source(self):
        return FrameSource(ROUND_THE_CLOCK, calendar="24/7")

    def expected(self):
        return ROUND_THE_CLOCK


class TestFiles(CachedTests):
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path):
        for symbol in SYMBOLS:
            own = DAILY.filter(pl.col("symbol") == symbol).drop("symbol")
            put(tmp_path / "bars", f"{symbol}.csv", own.write_csv())
        put(tmp_path / "bars", "splits.csv", EVENTS.splits.write_csv())
        put(tmp_path / "bars", "dividends.csv", EVENTS.dividends.write_csv())

    def source(self):
        return CSVDataSource(self.folder / "bars")


class TestAWarmCache(CachedTests):
    """The whole range was fetched before each test."""

    @pytest.fixture(autouse=True)
    def _warm(self, _folder):
        self.fetch()
        self.fetch_events()


class TestACacheInACache(CachedTests):
    def source(self):
        return CachedDataSource(super().source(), self.folder / "inner")
