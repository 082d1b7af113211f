"""CSV files in several layouts, each under the suite for all sources."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from rustybt.data.adjustments import Events
from rustybt.data.sources.csv import CSVDataSource
from rustybt.data.sources.testing import DataSourceTests
from tests.data.sources.files import packed, put
from tests.frames import dividends, minutes, sessions, splits, walk

SYMBOLS = ("AAA", "BRK.B", "NA")
DAYS = sessions("2020-02-03", "2020-03-31")
DAILY = walk(SYMBOLS, DAYS, seed=1)
MINUTES = [moment for moment in minutes("2020-03-06", "2020-03-09") if moment.minute % 5 == 0]
INTRADAY = walk(SYMBOLS[:2], MINUTES, seed=2)
EVENTS = Events(
    splits=splits(("AAA", "2020-02-10", 0.25), ("NA", "2020-03-02", 2.0)).splits,
    dividends=dividends(("AAA", "2020-03-03", 0.25, None)).dividends,
)


def own(bars: pl.DataFrame, symbol: str) -> pl.DataFrame:
    return bars.filter(pl.col("symbol") == symbol).drop("symbol")


class CsvTests(DataSourceTests):
    symbols = SYMBOLS
    start, end = date(2020, 2, 3), date(2020, 3, 31)
    events = Events()

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path):
        self.folder = tmp_path / "bars"
        self.write()

    def write(self):
        raise NotImplementedError

    def make_source(self):
        return CSVDataSource(self.folder)

    def expected(self):
        return DAILY


class TestAFileASymbol(CsvTests):
    events = EVENTS

    def write(self):
        for symbol in SYMBOLS:
            put(self.folder, f"{symbol}.csv.gz", packed(own(DAILY, symbol).write_csv(), ".gz"))
        put(self.folder, "splits.csv", EVENTS.splits.write_csv())
        put(self.folder, "dividends.csv", EVENTS.dividends.write_csv())


class TestOneShuffledFileWithDecimalCommas(CsvTests):
    def write(self):
        shuffled = DAILY.sample(fraction=1, shuffle=True, seed=3).select(
            pl.col("timestamp").dt.strftime("%d.%m.%Y").alias("Datum"),
            pl.col("symbol").alias("Ticker"),
            *(
                pl.format(
                    "{}", pl.col(name).cast(pl.String).str.replace(".", ",", literal=True)
                ).alias(name.title())
                for name in ("close", "open", "low", "high", "volume")
            ),
        )
        put(self.folder, "all.txt", shuffled.write_csv(separator=";"))

    def make_source(self):
        return CSVDataSource(self.folder / "all.txt", columns={"Datum": "timestamp"})


class TestCsvdir(CsvTests):
    """zipline's own layout: events in columns, minutes beside days."""

    events = EVENTS

    def write(self):
        split = EVENTS.splits.select("symbol", pl.col("ex_date").alias("timestamp"),
                                     split=1 / pl.col("ratio"))  # fmt: skip
        paid = EVENTS.dividends.select("symbol", pl.col("ex_date").alias("timestamp"),
                                       dividend="amount")  # fmt: skip
        key = ["symbol", "timestamp"]
        full = DAILY.join(paid, key, "left").join(split, key, "left").with_columns(
            pl.col("dividend").fill_null(0.0), pl.col("split").fill_null(1.0)
        )  # fmt: skip
        for symbol in SYMBOLS:
            put(self.folder, f"daily/{symbol}.csv", own(full, symbol).write_csv())
        for symbol in SYMBOLS[:2]:
            put(self.folder, f"minute/{symbol}.csv", own(INTRADAY, symbol).write_csv())


class IntradayTests(CsvTests):
    symbols = SYMBOLS[:2]
    start, end = MINUTES[0], MINUTES[-1]
    frequency = "5m"
    unsupported_frequency = "1d"
    empty_range = (datetime(1999, 1, 4, 15, tzinfo=UTC), datetime(1999, 1, 4, 16, tzinfo=UTC))

    def expected(self):
        return INTRADAY


class TestLocalTimesOfStarts(IntradayTests):
    """Bars of New York, labelled at their start in local time, across the change of clocks."""

    def write(self):
        local = pl.col("timestamp").dt.convert_time_zone("America/New_York")
        written = (local - timedelta(minutes=5)).dt.strftime("%m/%d/%Y %H:%M")
        for symbol in self.symbols:
            text = own(INTRADAY.with_columns(written), symbol).write_csv(separator="\t")
            put(self.folder, f"{symbol}.tsv.zst", packed(text, ".zst"))

    def make_source(self):
        return CSVDataSource(
            self.folder,
            date_format="%m/%d/%Y %H:%M",
            timezone="America/New_York",
            label="start",
        )


class TestEpochs(IntradayTests):
    def write(self):
        epochs = INTRADAY.with_columns(pl.col("timestamp").dt.epoch("ms"))
        put(self.folder, "bars.csv", epochs.write_csv())

    def make_source(self):
        return CSVDataSource(self.folder / "bars.csv")


class TestMinutesOfCsvdir(IntradayTests):
    frequency = "1m"
    unsupported_frequency = "1h"
    start = datetime(2020, 3, 6, 9, 31, tzinfo=ZoneInfo("America/New_York"))
    end = datetime(2020, 3, 6, 16, 0, tzinfo=ZoneInfo("America/New_York"))
    bars = walk(SYMBOLS[:2], minutes("2020-03-06", "2020-03-06"), seed=4)

    def write(self):
        for symbol in self.symbols:
            put(self.folder, f"minute/{symbol}.csv", own(self.bars, symbol).write_csv())

    def expected(self):
        return self.bars
