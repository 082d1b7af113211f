"""Bars on their way: the same by period, whether they waited in memory or on disk."""

import weakref

import polars as pl
import pytest

from rustybt.data.bars import DAILY, MINUTE
from rustybt.data.bundles import storage
from rustybt.data.bundles._periods import Periods
from rustybt.data.bundles._spill import Spill
from tests.frames import minutes, sessions, splits, walk

BARS = walk(["A", "B", "C"], sessions("2019-11-01", "2021-02-26"))


def spilled(directory, most_rows):
    spill = Spill(directory, DAILY, most_rows)
    for symbol, sid in (("C", 5), ("A", 9), ("B", 2)):
        own = BARS.filter(pl.col("symbol") == symbol).with_columns(sid=pl.lit(sid, pl.Int64))
        spill.add(own)
    return spill


@pytest.mark.parametrize("most_rows", [0, 400, 10**6], ids=["disk", "both", "memory"])
def test_each_period_has_its_bars_by_sid(tmp_path, most_rows):
    spill = spilled(tmp_path / "spill", most_rows)
    periods = spill.periods()
    assert periods == ["2019", "2020", "2021"]
    assert spill.sids == {2, 5, 9}
    parts = [spill.read(period) for period in periods]
    for period, part in zip(periods, parts, strict=True):
        assert part["session"].dt.strftime("%Y").unique().to_list() == [period]
    for part in parts:
        assert part.equals(part.sort("sid", "timestamp"))
        assert part.schema == spill.schema
    together = pl.concat(parts).sort("symbol", "timestamp").select(BARS.columns)
    assert together.equals(BARS)


@pytest.mark.parametrize("most_rows", [0, 10**6], ids=["disk", "memory"])
def test_values_of_other_types_stay_what_they_are(tmp_path, most_rows):
    bars = BARS.filter(pl.col("symbol") == "A").with_columns(sid=pl.lit(1, pl.Int64))
    other = {"sid": pl.Int32, "timestamp": pl.Datetime("ns"), "volume": pl.Int64}
    spill = Spill(tmp_path / "spill", DAILY, most_rows)
    spill.add(bars.cast(other), bars["timestamp"])
    found = pl.concat([spill.read(period) for period in spill.periods()])
    assert found.select(bars.columns).equals(bars)


def test_files_are_there_only_where_bars_are_many(tmp_path):
    spilled(tmp_path / "few", 10**6).periods()
    spilled(tmp_path / "many", 0).periods()
    assert list((tmp_path / "few").iterdir()) == []
    assert len(list((tmp_path / "many").iterdir())) == 3


def test_months_of_minutes_are_let_go_when_they_are_written(tmp_path):
    spill = Spill(tmp_path / "spill", MINUTE)
    for day in ("2020-01-30", "2020-02-27", "2020-03-30"):
        bars = walk(["A"], minutes(day, day)).with_columns(sid=pl.lit(1, pl.Int64))
        spill.add(bars, bars["timestamp"].dt.date())
    draft = storage.Draft(tmp_path, storage.Version("b", tmp_path), None)
    periods = Periods(draft, "minute", spill, None, splits().splits)
    written = [weakref.ref(frame) for frame in periods.write()]
    assert [frame() for frame in written] == [None] * 3
