"""What a comparison of two versions says, in rows and in lines."""

import polars as pl
import pytest

from rustybt.cli._changes import as_lines, frames_of
from rustybt.data.adjustments import merge_events
from rustybt.data.bundles import open_bundle, storage
from rustybt.data.bundles.diff import compare
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import dividends, sessions, splits, walk

DAYS = sessions("2019-12-16", "2020-01-31")
BARS = walk(["A", "B", "C"], DAYS)


def until(day):
    return BARS.filter(pl.col("timestamp") <= day)


def difference(old, new):
    """The changes between two versions that two sources give."""
    for source in (old, new):
        ingest(source, "b")
    newer, older = storage.versions("b")
    return compare(open_bundle("b", older.timestamp), open_bundle("b", newer.timestamp))


def lines(changes, limit=10):
    return {title: list(as_lines(frame, keys, limit)) for title, frame, keys in frames_of(changes)}


def test_an_asset_that_goes_on_is_one_line():
    whole = BARS.filter((pl.col("symbol") == "A") | (pl.col("timestamp") < DAYS[-1]))
    changes = difference(FrameSource(until(DAYS[-2])), FrameSource(whole))
    assert changes.assets["change"].to_list() == ["changed"]
    assert lines(changes)["assets"] == ["changed: 1", "  A: end 2020-01-30 -> 2020-01-31"]


def test_assets_with_the_same_change_are_told_together():
    changes = difference(FrameSource(until(DAYS[-2])), FrameSource(BARS))
    assert lines(changes)["assets"] == [
        "changed: 3",
        "  3 assets (A, B, C): end 2020-01-30 -> 2020-01-31",
    ]


def test_a_value_that_was_revised_is_told_with_the_one_before():
    is_it = (pl.col("symbol") == "B") & (pl.col("timestamp") == DAYS[3])
    volume = pl.when(is_it).then(7.0).otherwise("volume").alias("volume")
    was = BARS.filter(is_it)["volume"].item()
    found = lines(difference(FrameSource(BARS), FrameSource(BARS.with_columns(volume))))
    assert found == {
        "daily bars": [
            f"changed: 1 of 1 symbol, {DAYS[3]}",
            f"  B {DAYS[3]}: volume {was:.0f} -> 7",
        ]
    }


def test_many_rows_are_counted_and_the_first_ones_shown():
    found = lines(difference(FrameSource(until(DAYS[9])), FrameSource(BARS)), limit=2)
    assert found["daily bars"][0] == (
        f"added: {3 * (len(DAYS) - 10)} of 3 symbols, {DAYS[10]} to {DAYS[-1]}"
    )
    assert len(found["daily bars"]) == 1 + 2 + 1


@pytest.mark.parametrize("amount", [0.5, 0.75])
def test_an_event_that_was_revised_is_one_change_also_beside_another_of_its_day(amount):
    two = ("B", "2020-01-15", 0.5, None), ("B", "2020-01-15", 0.25, None)
    revised = two[0], ("B", "2020-01-15", amount, None)
    found = difference(
        FrameSource(BARS, dividends(*two)),
        FrameSource(BARS, merge_events([splits(("A", "2020-01-10", 0.5)), dividends(*revised)])),
    )
    assert lines(found) == {
        "splits": ["added: 1 of 1 symbol, 2020-01-10", "  A 2020-01-10: ratio 0.5"],
        "dividends": [
            "changed: 1 of 1 symbol, 2020-01-15",
            f"  B 2020-01-15: amount 0.25 -> {amount}",
        ],
    }


def test_an_asset_that_is_gone_and_one_that_is_new():
    without = [BARS.filter(pl.col("symbol") != gone) for gone in ("C", "A")]
    changes = difference(*map(FrameSource, without))
    span = f"{DAYS[0]} to {DAYS[-1]}"
    assert lines(changes)["assets"] == ["removed: 1", f"  A: {span}", "added: 1", f"  C: {span}"]
