"""Windows that are kept from bar to bar are zipline's, in whatever order they are asked for."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from zipline.data.data_portal import DataPortal as ZiplineDataPortal
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.bundles import load
from rustybt.compat.engine.portal import DataPortal
from rustybt.data.adjustments import Events
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import dividends, minutes, sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-06-30")
MOMENTS = minutes("2020-01-02", "2020-01-03")
FIELDS = ("price", "close", "open", "volume")
#: On one day a split and a dividend, on others one of them, one right after a gap.
EVENTS = Events(
    splits=splits(("A", "2020-03-02", 0.5), ("B", "2020-02-14", 2.0)).splits,
    dividends=dividends(
        ("A", "2020-03-02", 0.31, None),
        ("A", "2020-04-01", 0.17, None),
        ("C", "2020-05-04", 0.4, None),
    ).dividends,
)


def eventful():
    """Gaps in every asset, one listed late, one delisted early."""
    bars = walk("ABCD", DAYS, seed=3)
    late = (pl.col("symbol") == "C") & (pl.col("timestamp") < DAYS[50])
    early = (pl.col("symbol") == "D") & (pl.col("timestamp") > DAYS[90])
    kept = pl.Series(np.random.default_rng(1).random(len(bars)) > 0.15)
    return bars.filter(~late & ~early & kept)


def portals(bars, precision, events=None, calendar="XNYS"):
    """Our portal and zipline's on the same readers, and the assets."""
    frequency = "1d" if bars.schema["timestamp"] == pl.Date else "1m"
    source = FrameSource(bars, events)
    ingest(source, "b", frequency=frequency, precision=precision, calendar=calendar)
    data = load("b")
    readers = {"equity_daily_reader": data.equity_daily_bar_reader}
    if frequency == "1m":
        readers["equity_minute_reader"] = data.equity_minute_bar_reader
    first = data.equity_daily_bar_reader.first_trading_day
    made = [
        kind(
            data.asset_finder,
            get_calendar(calendar),
            first_trading_day=first,
            adjustment_reader=data.adjustment_reader,
            **readers,
        )
        for kind in (DataPortal, ZiplineDataPortal)
    ]
    return made, data.asset_finder.retrieve_all(data.asset_finder.sids)


def alike(made, *request):
    ours, stock = (portal.get_history_window(*request) for portal in made)
    pd.testing.assert_frame_equal(ours, stock, check_exact=True)


@pytest.mark.parametrize("order", ["forward", "backward", "mixed"])
def test_windows_of_days_are_zipline_s(order):
    made, assets = portals(eventful(), "bcolz", EVENTS)
    random = np.random.default_rng(5)
    days = pd.DatetimeIndex(DAYS)[30:]
    days = {"forward": days, "backward": days[::-1], "mixed": random.permutation(days)}[order]
    asked = [assets, assets[:1], [assets[2], assets[0]]]
    for day in map(pd.Timestamp, days):
        group, count = asked[random.integers(3)], int(random.choice([1, 2, 7, 30]))
        for field in FIELDS:
            alike(made, group, day, count, "1d", field, "daily")


@pytest.mark.parametrize("left", [0.7, 0.05])
def test_windows_of_minutes_are_zipline_s(left):
    events = splits(("A", "2020-01-03", 0.5), ("B", "2020-01-03", 4.0))
    bars = walk("AB", MOMENTS, seed=4)
    kept = pl.Series(np.random.default_rng(1).random(len(bars)) < left)
    made, assets = portals(bars.filter(kept), "bcolz", events)
    random = np.random.default_rng(6)
    for moment in pd.DatetimeIndex(MOMENTS)[100::13]:
        for field in FIELDS:
            alike(made, assets, moment, int(random.integers(1, 90)), "1m", field, "minute")


def test_a_short_and_a_long_window_in_every_bar_are_cut_from_the_same_rows():
    made, assets = portals(eventful(), "bcolz", EVENTS)
    kept, pieces = made[0]._windows["daily"]._kept, []
    for day in map(pd.Timestamp, DAYS[40:]):
        for count in (5, 30, 12):
            alike(made, assets, day, count, "1d", "price", "daily")
            pieces += [each for each in kept.values() if each not in pieces]
    assert len(pieces) < 6


def test_a_window_is_the_caller_s_to_change():
    made, assets = portals(eventful(), "bcolz", EVENTS)
    request = assets, pd.Timestamp(DAYS[60]), 20, "1d", "price", "daily"
    first = made[0].get_history_window(*request)
    first.index.name = "mine"
    first.iloc[:, :] = 0.0
    alike(made, *request)


def test_assets_replaced_in_the_list_that_was_asked_with_are_another_group():
    made, assets = portals(eventful(), "bcolz", EVENTS)
    asked = assets[:2]
    for day in DAYS[60:63]:
        alike(made, asked, pd.Timestamp(day), 5, "1d", "price", "daily")
        asked[0] = assets[3]
    asked.append(assets[0])
    alike(made, asked, pd.Timestamp(DAYS[63]), 5, "1d", "price", "daily")


@pytest.mark.parametrize("field", FIELDS)
def test_values_of_a_session_are_zipline_s(field):
    (ours, stock), assets = portals(eventful(), "bcolz", EVENTS)
    for day in map(pd.Timestamp, DAYS[40:]):
        found = [portal.get_spot_value(assets, field, day, "daily") for portal in (ours, stock)]
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("calendar", "first", "last"),
    [
        ("XNYS", "2019-11-27", "2019-12-02"),  # an early close
        ("XHKG", "2019-12-23", "2019-12-27"),  # a break at noon, an early close, holidays
        ("24/7", "2019-12-31", "2020-01-02"),
    ],
)
@pytest.mark.parametrize("left", [0.8, 0.005])
def test_values_of_a_minute_are_zipline_s(calendar, first, last, left):
    moments = minutes(first, last, calendar)
    bars = walk("AB", moments, seed=4)
    events = splits(("A", last, 0.5), ("A", "2019-12-31", 4.0), ("B", last, 2.0))
    gaps = pl.Series(np.random.default_rng(2).random(len(bars)) < left)
    made, assets = portals(bars.filter(gaps), "bcolz", events, calendar)
    every = pd.date_range(moments[0], moments[-1], freq="min")
    forward = every[every.minute % 10 < 3]
    for moment in (*forward, *np.random.default_rng(3).permutation(forward)[:300]):
        for field in ("price", "volume"):
            found = [_values(portal, assets, field, moment) for portal in made]
            np.testing.assert_equal(*found, err_msg=f"{field} at {moment}")
    for moment in forward[::7].tz_convert("America/New_York"):  # where another day begins
        found = [_values(portal, assets, "price", moment) for portal in made]
        np.testing.assert_equal(*found, err_msg=f"price at {moment}")


def _values(portal, assets, field, moment):
    try:
        return portal.get_spot_value(assets, field, pd.Timestamp(moment), "minute")
    except ValueError as error:
        return type(error)


@pytest.mark.parametrize("frequency", ["1d", "1m"])
def test_naming_the_index_of_a_window_names_no_other(frequency):
    (ours, _), assets = portals(walk("AB", MOMENTS), "full")
    asked = assets, pd.Timestamp(MOMENTS[400]), 2, frequency, "close", "minute"
    ours.get_history_window(*asked).index.name = "day"
    assert ours.get_history_window(*asked).index.name is None
