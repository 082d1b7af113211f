"""The asynchronous portal, over sources that count what they are asked for."""

import asyncio
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.adjustments import Events
from rustybt.data.errors import LookAheadError, MissingBarsWarning, OptionError, OutageError
from rustybt.data.polars import PolarsDataPortal
from tests.fakes import CountingSource, FrozenClock, MarketSource
from tests.frames import dividends, minutes, sessions, splits, walk

DAYS = sessions("2023-01-03", "2024-03-28")
SYMBOLS = ("AAA", "BBB", "CCC")
BARS = walk(SYMBOLS, DAYS)
MINUTES = walk(SYMBOLS[:2], minutes("2024-03-07", "2024-03-08"))


@dataclass(frozen=True)
class Asset:
    symbol: str


@pytest.fixture
def source():
    return CountingSource(BARS, calendar="XNYS")


@pytest.fixture
def portal(source, tmp_path):
    return PolarsDataPortal(source, cache_dir=tmp_path)


def spot(portal, *request):
    return asyncio.run(portal.get_spot_value(*request))


def history(portal, *request):
    return asyncio.run(portal.get_history_window(*request))


def value(symbol, day, field="close", bars=BARS):
    row = bars.filter((pl.col("symbol") == symbol) & (pl.col("timestamp") == day))
    return row[field].item()


def test_spot_values_are_in_the_order_of_the_assets(portal):
    assets = [Asset("CCC"), "AAA", Asset("CCC"), "BBB"]
    values = spot(portal, assets, "close", pd.Timestamp("2024-01-16"), "1d")
    day = date(2024, 1, 16)
    assert values.to_list() == [value(name, day) for name in ("CCC", "AAA", "CCC", "BBB")]
    assert (values.name, values.dtype) == ("close", pl.Float64)


@pytest.mark.parametrize(
    ("dt", "day"),
    [
        (pd.Timestamp("2024-01-15"), date(2024, 1, 12)),  # Martin Luther King's day
        (date(2024, 1, 13), date(2024, 1, 12)),
        (pd.Timestamp("2024-01-16 15:00", tz="UTC"), date(2024, 1, 12)),  # mid-session
        (pd.Timestamp("2024-01-16 16:00", tz="America/New_York"), date(2024, 1, 16)),
    ],
)
def test_a_time_means_the_last_bar_that_had_ended(portal, dt, day):
    assert spot(portal, "AAA", "close", dt, "daily").to_list() == [value("AAA", day)]


def test_a_window_is_so_many_sessions(portal):
    window = history(portal, ["BBB", "AAA"], pd.Timestamp("2024-01-15"), 20, "1d", "close", "1d")
    days = DAYS[DAYS.index(date(2024, 1, 12)) - 19 : DAYS.index(date(2024, 1, 12)) + 1]
    assert window.columns == ["timestamp", "BBB", "AAA"]
    assert window["timestamp"].to_list() == days
    assert window["AAA"].to_list() == [value("AAA", day) for day in days]


def test_a_loop_over_a_year_is_a_handful_of_fetches(portal, source):
    for day in sessions("2023-03-01", "2024-02-29"):
        window = history(portal, SYMBOLS, day, 20, "1d", "close")
        assert window["timestamp"][-1] == day
    assert len(source.requests) <= 6
    assert portal.cache_stats.misses == len(source.requests)
    assert portal.cache_hit_rate > 0.95


def test_the_hit_rate_is_that_of_the_cache(portal, source, tmp_path):
    history(portal, SYMBOLS, date(2024, 1, 31), 20, "1d", "close")
    assert (portal.cache_hit_rate, portal.cache_stats.requests) == (0.0, 1)
    again = PolarsDataPortal(source, cache_dir=tmp_path)
    history(again, SYMBOLS, date(2024, 1, 31), 20, "1d", "close")
    assert (again.cache_hit_rate, again.cache_stats.requests) == (1.0, 1)


def test_without_a_cache_the_source_is_asked(source):
    portal = PolarsDataPortal(source, use_cache=False)
    spot(portal, "AAA", "open", date(2024, 1, 31))
    assert (len(source.requests), portal.cache_hit_rate) == (1, 0.0)


@pytest.mark.parametrize("field", ["close", "price", "volume"])
def test_a_missing_asset_is_null_and_said_so(portal, field):
    with pytest.warns(MissingBarsWarning, match="NONE is null: the frame has no symbol"):
        values = spot(portal, ["NONE", "AAA"], field, date(2024, 1, 31))
    assert values.is_null().to_list() == [True, False]
    with pytest.warns(MissingBarsWarning, match="NONE"):
        window = history(portal, ["AAA", "NONE"], date(2024, 1, 31), 3, "1d", field)
    assert window["NONE"].to_list() == [None] * 3


def test_a_source_that_fails_is_no_missing_asset(tmp_path):
    clock = FrozenClock("2024-03-08T18:00")
    market = MarketSource(BARS, clock, "XNYS", calendar="XNYS")
    market.failure = OutageError("no route to the provider")
    portal = PolarsDataPortal(market, cache_dir=tmp_path, clock=clock)
    with pytest.raises(OutageError):
        spot(portal, "AAA", "close", date(2024, 3, 7))


def test_minutes_reach_back_over_the_night(tmp_path):
    source = CountingSource({"1m": MINUTES, "1d": BARS}, calendar="XNYS")
    portal = PolarsDataPortal(source, cache_dir=tmp_path)
    end = datetime.fromisoformat("2024-03-08T14:32+00:00")
    window = history(portal, ["BBB"], end, 3, "minute", "close", "minute")
    ends = [f"{moment:%d %H:%M}" for moment in window["timestamp"]]
    assert ends == ["07 21:00", "08 14:31", "08 14:32"]
    assert window["BBB"][-1] == value("BBB", end, bars=MINUTES)


def test_longer_intraday_bars_are_counted_as_they_come(tmp_path):
    hours = MINUTES.filter(pl.col("timestamp").dt.minute() == 0)
    source = CountingSource({"1h": hours}, calendar="XNYS")
    portal = PolarsDataPortal(source, cache_dir=tmp_path)
    end = datetime.fromisoformat("2024-03-08T16:59+00:00")
    window = history(portal, ["AAA"], end, 4, "1h", "open")
    ends = [f"{moment:%d %H:%M}" for moment in window["timestamp"]]
    assert ends == ["07 20:00", "07 21:00", "08 15:00", "08 16:00"]


def test_the_future_is_refused(source, tmp_path):
    portal = PolarsDataPortal(
        source, cache_dir=tmp_path, simulation_clock=FrozenClock("2024-01-16T15:00")
    )
    assert spot(portal, "AAA", "close", date(2024, 1, 12)).len() == 1
    for dt in (date(2024, 1, 16), date(2024, 1, 17), datetime(2024, 1, 16, 15, 1)):
        with pytest.raises(LookAheadError):
            spot(portal, "AAA", "close", dt)
        with pytest.raises(LookAheadError):
            history(portal, "AAA", dt, 5, "1d", "close")


def test_what_may_be_revised_is_asked_for_each_time(tmp_path):
    clock = FrozenClock("2024-03-08T21:00")
    lag = {"calendar": "XNYS", "settle_lag": pd.Timedelta("1d").to_pytimedelta()}
    market = MarketSource(BARS, clock, "XNYS", **lag)
    portal = PolarsDataPortal(market, use_cache=False, clock=clock)
    for _ in range(2):
        spot(portal, "AAA", "close", date(2024, 3, 8))
        spot(portal, "AAA", "close", date(2024, 3, 7))
    assert len(market.requests) == 3


EVENTS = Events(
    splits=splits(("AAA", "2024-01-10", 0.25)).splits,
    dividends=dividends(("AAA", "2024-01-11", 0.5, None)).dividends,
)


@pytest.mark.parametrize("adjust", ["split", "split_dividend"])
def test_a_window_is_adjusted_as_of_its_end(tmp_path, adjust):
    source = CountingSource(BARS, EVENTS, calendar="XNYS")
    portal = PolarsDataPortal(source, cache_dir=tmp_path, adjust=adjust)
    day = date(2024, 1, 9)
    before, after = (
        history(portal, ["AAA"], date(2024, 1, end), 5, "1d", "close").filter(
            pl.col("timestamp") == day
        )["AAA"][0]
        for end in (9, 12)
    )
    assert before == value("AAA", day)  # the split is not known yet
    paid = 1 - 0.5 / value("AAA", date(2024, 1, 10)) if adjust == "split_dividend" else 1
    assert after == pytest.approx(before * 0.25 * paid, rel=1e-12)


@pytest.mark.parametrize("adjust", ["split", "split_dividend"])
def test_minutes_are_adjusted_too(tmp_path, adjust):
    events = Events(
        splits=splits(("AAA", "2024-03-08", 0.5)).splits,
        dividends=dividends(("AAA", "2024-03-08", 1.0, None)).dividends,
    )
    source = CountingSource({"1m": MINUTES, "1d": BARS}, events, calendar="XNYS")
    portal = PolarsDataPortal(source, cache_dir=tmp_path, adjust=adjust)
    end = datetime.fromisoformat("2024-03-08T14:31+00:00")
    window = history(portal, ["AAA"], end, 2, "1m", "close")
    last_night = datetime.fromisoformat("2024-03-07T21:00+00:00")
    paid = 1 - 1.0 / value("AAA", date(2024, 3, 7)) if adjust == "split_dividend" else 1
    expected = value("AAA", last_night, bars=MINUTES) * 0.5 * paid
    assert window["AAA"][0] == pytest.approx(expected, rel=1e-12)
    assert window["AAA"][1] == value("AAA", end, bars=MINUTES)


def test_bars_that_are_adjusted_already_are_not_adjusted_again(tmp_path):
    source = CountingSource(BARS, adjustment="split")
    with pytest.raises(OptionError, match="adjusted already"):
        PolarsDataPortal(source, cache_dir=tmp_path, adjust="split")


@pytest.mark.parametrize("request_", [("AAA", "vwap", "2024-01-31"), ([], "close", "2024-01-31")])
def test_a_request_that_makes_no_sense_is_an_error(portal, request_):
    with pytest.raises(OptionError):
        spot(portal, *request_)


def test_a_window_has_at_least_one_bar(portal):
    with pytest.raises(OptionError, match="bar_count"):
        history(portal, "AAA", date(2024, 1, 31), 0, "1d", "close")


def test_a_portal_needs_a_source():
    with pytest.raises(OptionError, match="data_source"):
        PolarsDataPortal()


def test_views_of_one_window_are_alike(portal, source):
    both = history(portal, SYMBOLS, date(2024, 1, 31), 10, "1d", "high")
    alone = history(portal, "BBB", date(2024, 1, 31), 10, "1d", "high")
    assert_frame_equal(both.select("timestamp", "BBB"), alone)
    assert len(source.requests) == 1


def test_a_count_of_numpy_is_a_count(portal):
    moment = pd.Timestamp("2024-01-15")
    windows = [
        history(portal, ["AAA"], moment, count, "1d", "close", "1d") for count in (3, np.int64(3))
    ]
    assert_frame_equal(*windows)
