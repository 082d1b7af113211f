"""An update asks for what is missing, and equals a full ingest of the same data."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rustybt.data.adjustments import Events
from rustybt.data.bundles import open_bundle, storage
from rustybt.data.bundles.ingest import ingest, plan
from rustybt.data.errors import IncompleteIngestError, OptionError, OutageError, UnknownBundleError
from tests.fakes import FailingSource, FrameSource
from tests.frames import dividends, minutes, sessions, splits, walk

DAYS = sessions("2019-10-01", "2020-03-31")
ALL = walk(["A", "B", "C"], DAYS)
EVENTS = splits(("A", "2020-02-03", 0.5))


class Counting(FrameSource):
    """A source that remembers what it was asked for."""

    def __init__(self, *args, **facts):
        super().__init__(*args, **facts)
        self.asked = []

    async def fetch(self, symbols, start, end, frequency):
        self.asked.append((sorted(symbols), start, end))
        return await super().fetch(symbols, start, end, frequency)


def until(day, bars=ALL):
    return bars.filter(pl.col("timestamp").dt.date() <= day)


def at(day):
    """A clock that stands on the evening of a day."""
    return {"clock": lambda: datetime(day.year, day.month, day.day, 23, tzinfo=UTC)}


def tables(name):
    """Everything that is derived from the bars of a bundle."""
    bundle = open_bundle(name)
    panel = bundle.panel("daily")
    return {
        "bars": bundle.bars(),
        "assets": bundle.assets,
        "findings": bundle.quality_findings,
        "coverage": bundle.coverage,
        "panel": {key: values.tolist() for key, values in panel.values.items()}
        | {"axes": [panel.labels.tolist(), panel.sids.tolist(), panel.first.tolist()]},
    }


def assert_same(one, two):
    first, second = tables(one), tables(two)
    for key in ("bars", "assets", "findings", "coverage"):
        assert first[key].equals(second[key]), (key, first[key], second[key])
    np.testing.assert_equal(first["panel"], second["panel"])
    a, b = (open_bundle(name).metadata for name in (one, two))
    assert a.content_hash == b.content_hash
    assert (a.quality_score, a.missing_data_pct) == (b.quality_score, b.missing_data_pct)
    assert (a.price_decimals, a.row_count, a.symbols) == (b.price_decimals, b.row_count, b.symbols)


def test_an_update_by_a_day_asks_for_that_day_and_equals_a_full_ingest():
    source = Counting(ALL, EVENTS)
    ingest(Counting(until(DAYS[-2]), EVENTS), "b", start=DAYS[0], end=DAYS[-2], **at(DAYS[-2]))
    ingest(source, "b", update=True, **at(DAYS[-1]))
    assert source.asked == [(["A", "B", "C"], DAYS[-1], DAYS[-1])]
    ingest(FrameSource(ALL, EVENTS), "full", start=DAYS[0], end=DAYS[-1], **at(DAYS[-1]))
    assert_same("b", "full")


def test_what_did_not_change_is_linked():
    ingest(FrameSource(until(DAYS[-2])), "b", **at(DAYS[-2]))
    before = open_bundle("b").version
    after = ingest(FrameSource(ALL), "b", update=True, **at(DAYS[-1])).version
    linked = [
        path.name
        for path in sorted(after.path.glob("daily/*"))
        if path.samefile(before.path / "daily" / path.name)
    ]
    assert linked == ["2019.parquet", "2020-01.parquet", "2020-02.parquet"]
    assert sorted(path.name for path in after.path.glob("daily/*")) == [*linked, "2020-03.parquet"]
    before.check(every_byte=True)
    after.check(every_byte=True)


def test_an_update_with_nothing_new_writes_no_version():
    ingest(FrameSource(ALL), "b", **at(DAYS[-1]))
    again = ingest(FrameSource(ALL), "b", update=True, **at(DAYS[-1]))
    weekend = ingest(FrameSource(ALL), "b", update=True, **at(DAYS[-1] + timedelta(days=1)))
    assert [again.version, weekend.version] == storage.versions("b") * 2


def test_earlier_sessions_are_prepended():
    ingest(FrameSource(ALL, EVENTS), "b", start=DAYS[70], end=DAYS[-1], **at(DAYS[-1]))
    source = Counting(ALL, EVENTS)
    ingest(source, "b", prepend=True, start=DAYS[0], **at(DAYS[-1]))
    assert source.asked == [(["A", "B", "C"], DAYS[0], DAYS[69])]
    ingest(FrameSource(ALL, EVENTS), "full", start=DAYS[0], end=DAYS[-1], **at(DAYS[-1]))
    assert_same("b", "full")


def test_a_symbol_is_added_from_where_the_others_begin_and_moves_no_sid():
    ingest(FrameSource(ALL), "b", symbols=["B", "C"], start=DAYS[3], end=DAYS[-1], **at(DAYS[-1]))
    source = Counting(ALL)
    ingest(source, "b", symbols=["A"], update=True, **at(DAYS[-1]))
    assert source.asked == [(["A"], DAYS[3], DAYS[-1])]
    bundle = open_bundle("b")
    assert dict(bundle.assets.select("symbol", "sid").rows()) == {"B": 0, "C": 1, "A": 2}
    assert bundle.metadata.universe == ["A", "B", "C"]
    full = ingest(FrameSource(ALL), "full", start=DAYS[3], end=DAYS[-1], **at(DAYS[-1])).metadata
    assert bundle.metadata.content_hash == full.content_hash


def test_bars_that_had_not_settled_are_asked_for_again_and_replaced():
    lag = {"settle_lag": timedelta(days=3)}
    first = until(DAYS[-2]).with_columns(
        pl.when(pl.col("timestamp") == DAYS[-2]).then(7.0).otherwise("volume").alias("volume")
    )
    ingest(FrameSource(first, **lag), "b", **at(DAYS[-2]))
    source = Counting(ALL, **lag)
    ingest(source, "b", update=True, **at(DAYS[-1]))
    assert source.asked == [(["A", "B", "C"], DAYS[-2], DAYS[-1])]
    assert open_bundle("b").bars().equals(ALL)


def test_a_split_that_comes_later_does_not_touch_the_bars_before():
    ingest(FrameSource(until(DAYS[-10])), "b", **at(DAYS[-10]))
    late = splits(("A", DAYS[-5].isoformat(), 0.5))
    ingest(FrameSource(ALL, late), "b", update=True, **at(DAYS[-1]))
    assert open_bundle("b").bars().equals(ALL)
    assert open_bundle("b").events.splits.equals(late.splits)


def test_events_of_before_stay_and_new_ones_are_merged():
    old = dividends(("A", "2019-11-01", 0.5, None), ("B", "2019-11-01", 0.25, None))
    ingest(FrameSource(until(DAYS[80]), old), "b", **at(DAYS[80]))
    new = dividends(("A", DAYS[100].isoformat(), 0.5, None))
    ingest(FrameSource(ALL, new), "b", update=True, **at(DAYS[-1]))
    assert len(open_bundle("b").events.dividends) == 3


def test_what_a_source_says_to_have_revised_is_fetched_again():
    class Revised(FrameSource):
        async def revised_since(self, symbols, since, frequency):
            return {"B": (DAYS[5], DAYS[6])}

    wrong = ALL.with_columns(
        pl.when((pl.col("symbol") == "B") & (pl.col("timestamp") == DAYS[5]))
        .then(1.0).otherwise("volume").alias("volume")
    )  # fmt: skip
    ingest(FrameSource(wrong), "b", **at(DAYS[-1]))
    ingest(Revised(ALL), "b", update=True, **at(DAYS[-1]))
    assert open_bundle("b").bars().equals(ALL)


def test_a_symbol_that_fails_keeps_its_bars_and_is_asked_for_again():
    ingest(FrameSource(until(DAYS[-3])), "b", start=DAYS[0], end=DAYS[-3], **at(DAYS[-3]))
    failing = FailingSource(ALL, {"B": OutageError("no answer")})
    with pytest.raises(IncompleteIngestError, match="B: no answer"):
        ingest(failing, "b", update=True, **at(DAYS[-1]))
    kept = ALL.filter((pl.col("symbol") != "B") | (pl.col("timestamp") <= DAYS[-3]))
    assert open_bundle("b").bars().equals(kept)
    assert ("B", DAYS[-2], "outage") in open_bundle("b").coverage.select(
        "symbol", "first", "reason"
    ).rows()
    source = Counting(ALL)
    ingest(source, "b", update=True, **at(DAYS[-1]))
    assert source.asked == [(["B"], DAYS[-2], DAYS[-1])]
    ingest(FrameSource(ALL), "full", start=DAYS[0], end=DAYS[-1], **at(DAYS[-1]))
    assert_same("b", "full")


def test_minutes_are_updated_by_sessions():
    bars = walk(["A", "B"], minutes("2020-01-30", "2020-02-05"))
    ingest(FrameSource(until(date(2020, 2, 3), bars)), "b", frequency="1m", **at(date(2020, 2, 3)))
    source = Counting(bars)
    ingest(source, "b", update=True, **at(date(2020, 2, 5)))
    (_, start, end) = source.asked[0]
    assert (start.date(), end.date()) == (date(2020, 2, 4), date(2020, 2, 5))
    ingest(FrameSource(bars), "full", frequency="1m", **at(date(2020, 2, 5)))
    assert_same("b", "full")
    for bundle in (open_bundle("b"), open_bundle("full")):
        assert bundle.bars("minute").equals(bars)
    one, two = open_bundle("b").panel("minute"), open_bundle("full").panel("minute")
    np.testing.assert_equal(one.values, two.values)


def test_a_market_without_a_close_is_updated_by_days():
    bars = walk(["A"], minutes("2020-01-30", "2020-02-02", "24/7"))
    ends = pl.col("timestamp") - pl.duration(minutes=1)
    early = bars.filter(ends.dt.date() <= date(2020, 1, 31))
    options = {"frequency": "1m", "calendar": "24/7"}
    morning = {"clock": lambda: datetime(2020, 2, 1, 1, tzinfo=UTC)}
    ingest(FrameSource(early), "b", **options, **morning)
    ingest(FrameSource(bars), "b", update=True, **at(date(2020, 2, 3)))
    assert open_bundle("b").bars("minute").equals(bars)


@pytest.mark.parametrize(
    ("options", "facts"),
    [({}, {"adjustment": "split"}), ({"frequency": "1m"}, {})],
    ids=["adjusted", "frequency"],
)
def test_what_cannot_be_put_together_is_refused(options, facts):
    ingest(FrameSource(ALL), "b", **at(DAYS[-1]))
    with pytest.raises(OptionError, match="'b' has bars"):
        ingest(FrameSource(ALL, **facts), "b", update=True, **options)


def test_only_what_is_there_can_be_updated():
    with pytest.raises(UnknownBundleError, match="no bundle 'b'"):
        ingest(FrameSource(ALL), "b", update=True)


def test_an_update_of_a_damaged_version_asks_for_the_damaged_period_as_well():
    ingest(FrameSource(until(DAYS[-3])), "b", start=DAYS[0], end=DAYS[-3], **at(DAYS[-3]))
    newer = ingest(FrameSource(until(DAYS[-2])), "b", update=True, **at(DAYS[-2]))
    (newer.path / "daily/2020-03.parquet").write_bytes(b"flipped")
    source = Counting(ALL)
    ingest(source, "b", update=True, **at(DAYS[-1]))
    damaged_month = next(day for day in DAYS if (day.year, day.month) == (2020, 3))
    assert [asked[1:] for asked in source.asked] == [(damaged_month, DAYS[-1])]
    assert open_bundle("b").bars().equals(ALL)


def test_a_plan_of_an_update_counts_what_is_missing():
    ingest(FrameSource(until(DAYS[-3])), "b", **at(DAYS[-3]))
    found = plan(FrameSource(ALL), "b", update=True, **at(DAYS[-1]))
    assert (found.rows, found.symbols) == (6, 3)
    assert len(storage.versions("b")) == 1


@settings(max_examples=25)
@given(data=st.data())
def test_any_updates_equal_a_full_ingest(data, tmp_path_factory):
    """Random gaps and events, random days at which the work stopped, random symbols first."""
    days = sessions("2019-11-15", "2020-02-14")
    gone = data.draw(
        st.sets(st.tuples(st.sampled_from("ABCD"), st.sampled_from(days)), max_size=60)
    )
    bars = walk(["A", "B", "C", "D"], days).filter(
        ~pl.struct("symbol", "timestamp").map_elements(
            lambda row: (row["symbol"], row["timestamp"]) in gone, return_dtype=pl.Boolean
        )
    )
    ex_dates = data.draw(st.sets(st.sampled_from(days), max_size=4))
    events = Events(
        splits=splits(*(("A", day.isoformat(), 0.5) for day in sorted(ex_dates))).splits,
        dividends=dividends(*(("B", d.isoformat(), 0.1, None) for d in sorted(ex_dates))).dividends,
    )
    root = {"ZIPLINE_ROOT": str(tmp_path_factory.mktemp("root"))}
    first = data.draw(st.sampled_from(days[:20]))
    stops = sorted(data.draw(st.sets(st.sampled_from(days[25:-1]), max_size=3)))
    some = data.draw(st.sampled_from([["A", "B", "C", "D"], ["B"], ["C", "D"]]))

    def known_on(day):
        return FrameSource(bars.filter(pl.col("timestamp") <= day), events, symbols=tuple("ABCD"))

    quiet = {"environ": root, "allow_partial": True}
    begun = (stops or [days[-1]])[0]
    ingest(known_on(begun), "b", symbols=some, start=first, end=begun, **quiet, **at(begun))
    for day in [*stops[1:], days[-1]]:
        ingest(known_on(day), "b", symbols=list("ABCD"), update=True, **quiet, **at(day))
    ingest(known_on(days[-1]), "b", prepend=True, start=days[0], **quiet, **at(days[-1]))
    ingest(known_on(days[-1]), "full", start=days[0], end=days[-1], **quiet, **at(days[-1]))
    parts, full = (open_bundle(name, environ=root) for name in ("b", "full"))
    assert parts.metadata.content_hash == full.metadata.content_hash
    assert parts.metadata.missing_data_pct == full.metadata.missing_data_pct
    assert parts.bars().equals(full.bars())
    assert parts.quality_findings.equals(full.quality_findings)
    assert parts.coverage.equals(full.coverage)
