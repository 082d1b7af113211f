"""From a source to a version: what is checked, derived, refused and recorded."""

import asyncio
import contextlib
import gc
from datetime import date, datetime

import exchange_calendars
import pandas as pd
import polars as pl
import pytest

from rustybt.data.adjustments import DIVIDENDS, Events
from rustybt.data.bundles import coverage, list_bundles, open_bundle
from rustybt.data.bundles.ingest import ingest, ingest_async
from rustybt.data.errors import (
    BarSchemaError,
    BarValidationError,
    CalendarError,
    FrequencyError,
    IncompleteIngestError,
    OptionError,
)
from tests.fakes import FrameSource
from tests.frames import bars, minutes, sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-02-28")
DAILY = walk(["A", "B"], DAYS)
MINUTES = walk(["A", "B"], minutes("2020-01-02", "2020-01-06"))


def by_hand(intraday, session_of):
    """Daily bars of intraday ones, a row at a time."""
    days = {}
    for symbol, moment, opened, high, low, close, volume in intraday.rows():
        key = (symbol, session_of(moment))
        if key not in days:
            days[key] = [opened, high, low, close, volume]
            continue
        bar = days[key]
        bar[1], bar[2] = max(bar[1], high), min(bar[2], low)
        bar[3], bar[4] = close, bar[4] + volume
    return [(*key, *values) for key, values in days.items()]


def test_daily_bars_go_in():
    ingest(FrameSource(DAILY), "b")
    assert open_bundle("b").bars("daily").equals(DAILY)
    assert not open_bundle("b").has("minute")


def test_minutes_go_in_and_daily_bars_are_derived_from_them():
    record = ingest(FrameSource(MINUTES), "b", frequency="1m").metadata
    bundle = open_bundle("b")
    assert bundle.bars("minute").equals(MINUTES)
    assert bundle.bars("daily").rows() == by_hand(MINUTES, datetime.date)
    assert record.frequency == "1m"
    assert record.row_count == len(MINUTES)
    assert record.notes == ["Daily bars were derived from the intraday ones."]


@pytest.mark.parametrize(
    ("calendar", "first", "last", "closes_utc", "session_of"),
    [
        ("XNYS", "2020-11-25", "2020-11-30", 21, datetime.date),
        ("XHKG", "2020-01-02", "2020-01-03", 8, datetime.date),
        # Sydney opens on the evening before, in London's time.
        ("XASX", "2020-01-02", "2020-01-06", 5, lambda m: (m + pd.Timedelta(hours=2)).date()),
        # The minute that ends at midnight belongs to the day that it ends.
        ("24/7", "2019-12-31", "2020-01-01", 0, lambda m: (m - pd.Timedelta(minutes=1)).date()),
    ],
)
def test_a_minute_belongs_to_the_session_of_its_market(
    calendar, first, last, closes_utc, session_of
):
    intraday = walk(["A"], minutes(first, last, calendar))
    assert intraday["timestamp"].max().hour == closes_utc
    ingest(FrameSource(intraday), "b", frequency="1m", calendar=calendar)
    bundle = open_bundle("b")
    assert bundle.bars("daily").rows() == by_hand(intraday, session_of)
    assert bundle.bars("daily")["timestamp"].to_list() == sessions(first, last, calendar)
    assert bundle.bars("minute").equals(intraday)


def test_the_first_midnight_of_a_year_belongs_to_the_year_before():
    intraday = bars({"A": {"2020-01-01 00:00": [1, 2, 1, 2, 3]}})
    ingest(FrameSource(intraday), "b", frequency="1m", calendar="24/7")
    assert open_bundle("b").bars("daily")["timestamp"].to_list() == [date(2019, 12, 31)]


def test_both_frequencies_go_into_one_bundle_as_they_come():
    own_daily = walk(["A", "B"], DAYS, seed=7)
    both = FrameSource({"1d": own_daily, "1m": MINUTES})
    record = ingest(both, "b", frequency=["1d", "1m"]).metadata
    bundle = open_bundle("b")
    assert bundle.bars("daily").equals(own_daily)
    assert bundle.bars("minute").equals(MINUTES)
    assert record.frequency == "1d,1m"
    assert record.row_count == len(own_daily) + len(MINUTES)
    assert (record.start_date, record.end_date) == (pd.Timestamp(DAYS[0]), pd.Timestamp(DAYS[-1]))


def test_bars_of_five_minutes_go_in():
    own = MINUTES.filter(pl.col("timestamp").dt.minute() % 5 == 0)
    ingest(FrameSource({"5m": own}), "b", frequency="5m")
    assert open_bundle("b").bars("minute").equals(own)
    assert open_bundle("b").metadata.frequency == "5m"


@pytest.mark.parametrize("frequency", ["1w", ["1m", "5m"], "fortnightly", ["1d", "nonsense"]])
def test_a_frequency_that_a_bundle_cannot_hold_is_refused(frequency):
    with pytest.raises(FrequencyError):
        ingest(FrameSource({"1d": DAILY, "1m": MINUTES}), "b", frequency=frequency)
    assert list_bundles() == []


def test_rows_may_come_in_any_order():
    class Shuffled(FrameSource):
        async def fetch(self, *request):
            return (await super().fetch(*request)).sample(fraction=1, shuffle=True, seed=1)

    ingest(Shuffled(DAILY), "b")
    assert open_bundle("b").bars().equals(DAILY)


def test_a_symbol_that_is_named_twice_goes_in_once():
    ingest(FrameSource(DAILY), "b", symbols=["B", "A", "B"])
    assert open_bundle("b").bars().equals(DAILY)


def test_only_the_symbols_and_dates_that_were_asked_for_go_in():
    ingest(FrameSource(DAILY), "b", symbols=["B"], start="2020-01-10", end="2020-01-15")
    chosen = (pl.col("symbol") == "B") & pl.col("timestamp").is_between(
        date(2020, 1, 10), date(2020, 1, 15)
    )
    assert open_bundle("b").bars().equals(DAILY.filter(chosen))


@pytest.mark.parametrize(
    ("source", "options", "where"),
    [
        (bars({"A": {"2020-01-04": [1, 1, 1, 1, 1]}}), {}, "A 2020-01-04: not a session of .*XNYS"),
        (bars({"A": {"2020-01-20": [1, 1, 1, 1, 1]}}), {}, "A 2020-01-20: not a session of .*XNYS"),
        (
            bars({"A": {"2020-01-03 14:30": [1, 1, 1, 1, 1]}}),
            {"frequency": "1m"},
            "A 2020-01-03 14:30.*: not a trading minute of .*XNYS",
        ),
        (
            bars({"A": {"2020-11-27 18:01": [1, 1, 1, 1, 1]}}),
            {"frequency": "1m"},
            "A 2020-11-27 18:01.*: not a trading minute",
        ),
        (
            bars({"A": {"2020-01-03 15:00:30": [1, 1, 1, 1, 1]}}),
            {"frequency": "1m"},
            "A 2020-01-03 15:00:30.*: not a trading minute",
        ),
        (
            bars({"A": {"2020-01-03 04:30": [1, 1, 1, 1, 1]}}),
            {"frequency": "1m", "calendar": "XHKG"},
            "04:30.*: not a trading minute of .*XHKG",
        ),
    ],
    ids=["saturday", "holiday", "open", "early close", "seconds", "lunch"],
)
def test_a_bar_off_the_calendar_is_refused_and_its_place_named(source, options, where):
    with pytest.raises(BarValidationError, match=where) as caught:
        ingest(FrameSource(source), "b", **options)
    assert "--off-calendar drop" in str(caught.value)
    assert caught.value.findings["rule"].to_list() == ["off_calendar"]
    assert list_bundles() == []


def test_bars_off_the_calendar_can_be_left_out():
    off = bars({"A": {"2020-01-04": [1, 1, 1, 1, 1]}, "C": {"2020-01-05": [1, 1, 1, 1, 1]}})
    result = ingest(FrameSource(pl.concat([DAILY, off])), "b", off_calendar="drop")
    assert open_bundle("b").bars().equals(DAILY)
    dropped = result.coverage.filter(pl.col("reason") == coverage.OFF_CALENDAR)
    assert dropped["symbol"].to_list() == ["A", "C"]


def test_when_every_bar_was_left_out_nothing_is_written():
    off = bars({"A": {"2020-01-04": [1, 1, 1, 1, 1]}})
    with pytest.raises(BarSchemaError, match="has no bars of A"):
        ingest(FrameSource(off), "b", off_calendar="drop")
    assert list_bundles() == []


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ([1, 1, 1, -1, 1], "negative"),
        ([1, 1, 0, 1, 1], "zero"),
        ([1, 0.5, 1, 1, 1], "outside low..high"),
        ([1, 1, 1, float("nan"), 1], "not a number"),
        ([1, float("inf"), 1, 1, 1], "not a number"),
        ([1, 1, 1, 1, -1], "volume is missing or negative"),
        ([1, 1, 1, 1, float("nan")], "volume is missing or negative"),
    ],
)
def test_a_symbol_with_a_bar_that_cannot_be_true_is_refused_and_its_place_named(row, what):
    wrong = bars({"C": {"2020-01-06": row, "2020-01-07": [1, 1, 1, 1, 1]}})
    with pytest.raises(IncompleteIngestError, match=rf"(?s)C: 1 row.*C 2020-01-06: .*{what}"):
        ingest(FrameSource(pl.concat([DAILY, wrong])), "b")
    assert open_bundle("b").bars().equals(DAILY)


def test_a_bar_that_comes_twice_is_refused():
    with pytest.raises(IncompleteIngestError, match="A 2020-01-02: more than one bar"):
        ingest(FrameSource(pl.concat([DAILY, DAILY.head(1)])), "b")
    assert open_bundle("b").metadata.symbols == ["B"]


@pytest.mark.parametrize(
    "events",
    [
        splits(("A", "2020-01-06", -2.0)),
        splits(("A", "2020-01-06", 0.5), ("A", "2020-01-06", 0.5)),
        Events(
            dividends=pl.DataFrame(
                [("A", date(2020, 1, 6), 0.0, None, None, None)], schema=DIVIDENDS, orient="row"
            )
        ),
    ],
    ids=["negative ratio", "split twice", "dividend of nothing"],
)
def test_an_event_that_cannot_be_true_is_refused(events):
    with pytest.raises(IncompleteIngestError, match="A 2020-01-06"):
        ingest(FrameSource(DAILY, events), "b")
    assert open_bundle("b").metadata.symbols == ["B"]


def test_events_are_kept_sorted():
    events = splits(("B", "2020-02-03", 0.5), ("A", "2020-02-03", 0.5), ("A", "2020-01-06", 2.0))
    result = ingest(FrameSource(DAILY, events), "b")
    expected = [("A", date(2020, 1, 6)), ("A", date(2020, 2, 3)), ("B", date(2020, 2, 3))]
    assert open_bundle("b").events.splits.select("symbol", "ex_date").rows() == expected
    assert result.events.splits.equals(open_bundle("b").events.splits)


@pytest.mark.parametrize(
    "options", [{"precision": "fulll"}, {"precision": "BCOLZ"}, {"off_calendar": "ignore"}]
)
def test_an_option_with_a_value_that_is_not_one_is_refused(options):
    (name, value), *_ = options.items()
    with pytest.raises(OptionError, match=rf"{name} is '{value}'; it must be one of"):
        ingest(FrameSource(DAILY), "b", **options)
    assert list_bundles() == []


@pytest.mark.parametrize(("asked", "recorded"), [("NYSE", "XNYS"), (None, "24/7"), ("XLON",) * 2])
def test_the_calendar_is_the_one_asked_for_or_the_sources_own(asked, recorded):
    source = FrameSource(walk(["A"], [date(2020, 1, 6)]), calendar="24/7")
    assert ingest(source, "b", calendar=asked).metadata.calendar == recorded


def test_an_unknown_calendar_is_refused():
    with pytest.raises(CalendarError, match="'XNYZ'"):
        ingest(FrameSource(DAILY), "b", calendar="XNYZ")
    assert list_bundles() == []


@pytest.mark.parametrize("name", ["XSHG", "XBOM"])
def test_a_calendar_can_be_used_up_to_the_last_session_that_it_knows(name):
    known = exchange_calendars.get_calendar(name).sessions.date
    own = walk(["A"], list(known[-20:]))
    ingest(FrameSource(own), "b", calendar=name)
    assert open_bundle("b").bars().equals(own)


@pytest.mark.parametrize(
    ("high", "volume"), [(4_294_967.296, 1.0), (1e7, 1.0), (2.0, 4_294_967_296.0), (2.0, 4.5e12)]
)
def test_what_bcolz_cannot_hold_is_refused_under_its_precision_and_kept_under_full(high, volume):
    large = bars({"A": {"2020-01-06": [1, high, 1, 1, volume]}})
    with pytest.raises(BarValidationError, match=r"A 2020-01-06: .*too large.*\n.*precision full"):
        ingest(FrameSource(large), "b", precision="bcolz")
    assert list_bundles() == []
    ingest(FrameSource(large), "b")
    assert open_bundle("b").bars().equals(large)


def test_a_day_of_minutes_that_bcolz_cannot_hold_is_refused_under_its_precision():
    busy = [1.0] * 4 + [3e9]
    day = bars({"A": {"2020-01-03 15:00": busy, "2020-01-03 15:01": busy}})
    with pytest.raises(
        BarValidationError, match=r"A 2020-01-03: .*volume 6000000000.0 is too large"
    ):
        ingest(FrameSource(day), "b", frequency="1m", precision="bcolz")


def test_the_largest_that_bcolz_can_hold_is_kept_under_its_precision():
    largest = bars({"A": {"2020-01-06": [1, 4_294_967.295, 1, 1, 4_294_967_295.9]}})
    ingest(FrameSource(largest), "b", precision="bcolz")
    panel = open_bundle("b").panel("daily")
    assert panel.values["high"].item() == (2**32 - 1) * 0.001
    assert panel.values["volume"].item() == 2**32 - 1


def test_progress_counts_symbols():
    seen = []
    many = walk([f"S{number:03}" for number in range(300)], DAYS[:2])
    ingest(FrameSource(many), "b", progress=lambda *step: seen.append(step))
    steps = [(64, "S063"), (128, "S127"), (192, "S191"), (256, "S255"), (300, "S299")]
    assert seen == [(done, 300, last) for done, last in steps]


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_was_in_memory_before_is_collected_again_after(interrupted):
    during = []

    def step(*_):
        during.append(gc.get_freeze_count())
        if interrupted:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if interrupted else contextlib.nullcontext():
        ingest(FrameSource(DAILY), "b", progress=step)
    assert min(during) > 0
    assert gc.get_freeze_count() == 0


def test_it_also_works_where_a_loop_is_running():
    async def notebook():
        inside = ingest(FrameSource(DAILY), "inside")
        awaited = await ingest_async(FrameSource(DAILY), "awaited")
        path = await FrameSource(DAILY).ingest_to_bundle(
            "documented", ["A", "B"], pd.Timestamp("2020-01-02"), pd.Timestamp("2020-02-28"), "1d"
        )
        return inside.path, awaited.path, path

    for path in asyncio.run(notebook()):
        assert (path / "manifest.json").is_file()
    for name in ("inside", "awaited", "documented"):
        assert open_bundle(name).bars().equals(DAILY)


def test_two_ingests_of_one_loop_do_not_mix():
    other = walk(["A", "B"], DAYS, seed=3)

    async def both():
        await asyncio.gather(
            ingest_async(FrameSource(DAILY), "one"), ingest_async(FrameSource(other), "two")
        )

    asyncio.run(both())
    assert open_bundle("one").bars().equals(DAILY)
    assert open_bundle("two").bars().equals(other)
