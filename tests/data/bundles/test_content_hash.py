"""The content hash is equal for equal data, and for no other."""

import polars as pl
import pytest

from rustybt.data.adjustments import Events
from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import dividends, minutes, sessions, splits, walk

DAYS = sessions("2019-12-02", "2020-01-31")
BARS = walk("ABCDE", DAYS)
MINUTES = walk("ABCDE", minutes("2020-01-30", "2020-02-03"))
EVENTS = Events(
    splits=splits(("A", "2020-01-06", 0.5)).splits,
    dividends=dividends(("B", "2020-01-06", 0.25, "2020-02-01")).dividends,
)


def content_hash(bars=BARS, events=EVENTS, name="b", **options):
    return ingest(FrameSource(bars, events), name, **options).metadata.content_hash


def test_equal_data_have_equal_hashes_whatever_the_bundle_and_the_time():
    assert content_hash(name="one") == content_hash(name="two", timestamp="1999-01-01")


def test_the_order_of_symbols_and_their_sids_do_not_show():
    content_hash(bars=BARS.filter(pl.col("symbol").is_in(["C", "E"])))
    assert open_bundle("b").assets["sid"].to_list() == [0, 1]
    again = content_hash(symbols=list("EDCBA"))
    assert open_bundle("b").assets["symbol"].to_list() == ["C", "E", "A", "B", "D"]
    assert again == content_hash(name="fresh")


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("bars", [BARS, MINUTES], ids=["daily", "minute"])
def test_the_size_of_batches_does_not_show(size, bars):
    class Small(FrameSource):
        batch_size = size

    frequency = "1d" if bars is BARS else "1m"
    whole = content_hash(bars, frequency=frequency)
    assert ingest(Small(bars, EVENTS), "b", frequency=frequency).metadata.content_hash == whole
    assert open_bundle("b").bars("daily" if bars is BARS else "minute").equals(bars)


def test_what_is_derived_does_not_show():
    before = content_hash()
    version = open_bundle("b").version
    (version.path / "panel" / "daily" / "close.npy").unlink()
    open_bundle("b").panel("daily")
    assert open_bundle("b").metadata.content_hash == before


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("kind", ["daily", "minute"])
def test_one_changed_cell_changes_it(column, kind):
    bars, frequency = (BARS, "1d") if kind == "daily" else (MINUTES, "1m")
    row = pl.int_range(pl.len()) == 17
    # Wider apart, so that the bar stays a valid one.
    step = -0.01 if column == "low" else 0.01 if column == "high" else 0.0
    value = {"volume": pl.col("volume") + 1, "open": pl.col("high"), "close": pl.col("low")}
    new = value.get(column, pl.col(column) + step)
    changed = bars.with_columns(pl.when(row).then(new).otherwise(column).alias(column))
    assert not changed.equals(bars)
    assert content_hash(changed, frequency=frequency) != content_hash(bars, frequency=frequency)


@pytest.mark.parametrize(
    "bars",
    [
        BARS.filter(pl.int_range(pl.len()) != 17),
        BARS.filter(pl.col("symbol") != "E"),
        BARS.with_columns(pl.col("symbol").replace("E", "F")),
        BARS.with_columns(pl.col("symbol").replace(["D", "E"], ["E", "D"])),
    ],
    ids=["row gone", "symbol gone", "symbol renamed", "symbols swapped"],
)
def test_other_bars_change_it(bars):
    assert content_hash(bars) != content_hash()


@pytest.mark.parametrize(
    "events",
    [
        Events(),
        Events(splits=EVENTS.splits),
        Events(splits=EVENTS.splits.with_columns(ratio=0.25), dividends=EVENTS.dividends),
        Events(splits=EVENTS.splits, dividends=EVENTS.dividends.with_columns(pay_date=None)),
    ],
    ids=["none", "no dividend", "other ratio", "no pay date"],
)
def test_other_events_change_it(events):
    assert content_hash(events=events) != content_hash()


def test_another_calendar_changes_it():
    assert content_hash(calendar="24/7") != content_hash()
