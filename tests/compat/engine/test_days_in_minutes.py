"""In a run of minutes, windows of days end with what there is of the session: zipline's values."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from zipline.data.data_portal import DataPortal as ZiplineDataPortal
from zipline.errors import HistoryWindowStartsBeforeData
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.bundles import load
from rustybt.compat.data_portal import DataPortal as StockPortal
from rustybt.compat.engine.portal import DataPortal
from rustybt.data.adjustments import Events
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import dividends, minutes, sessions, splits, walk

FIELDS = ("price", "close", "open", "high", "low", "volume")
#: Calendar, first session with daily bars, and the sessions of minutes.
MARKETS = {
    "early close": ("XNYS", "2019-10-01", "2019-11-27", "2019-12-03"),
    "break at noon": ("XHKG", "2019-11-01", "2019-12-23", "2019-12-30"),
    "day and night": ("24/7", "2019-12-01", "2019-12-30", "2020-01-02"),
}


def market(name, seed=3, decimals=2):
    """Bars of days and minutes with gaps and events; C is listed, and D delisted, in between."""
    calendar, begin, first, last = MARKETS[name]
    days, moments = sessions(begin, last, calendar), minutes(first, last, calendar)
    random = np.random.default_rng(seed)
    bars = {"1d": walk("ABCD", days, seed, decimals), "1m": walk("ABCD", moments, seed, decimals)}
    calendar_days = get_calendar(calendar).minutes_to_sessions(pd.DatetimeIndex(moments))
    session_of = dict(zip(moments, calendar_days.date, strict=True))
    for kind, kept in (("1d", 0.8), ("1m", 0.4)):
        frame = bars[kind]
        session = [session_of.get(each, each) for each in frame["timestamp"].to_list()]
        session = pl.Series("session", session)
        late = (frame["symbol"] == "C") & (session < days[-3])
        early = (frame["symbol"] == "D") & (session > days[-2])
        # B does not trade in the last session but two.
        quiet = (frame["symbol"] == "B") & (session == days[-3])
        some = pl.Series(random.random(len(frame)) < kept)
        bars[kind] = frame.filter(~late & ~early & ~quiet & some)
    on = [str(day) for day in days]
    events = Events(
        splits=splits(("A", on[-3], 0.5), ("B", on[-2], 4.0), ("A", on[-8], 2.0)).splits,
        dividends=dividends(
            ("A", on[-3], 0.31, None), ("A", on[-1], 0.17, None), ("D", on[-3], 0.2, None)
        ).dividends,
    )
    return calendar, FrameSource(bars, events), pd.DatetimeIndex(moments)


def portals(calendar, source, precision, kinds):
    ingest(source, "b", frequency=("1d", "1m"), precision=precision, calendar=calendar)
    data = load("b")
    made = [
        kind(
            data.asset_finder,
            get_calendar(calendar),
            first_trading_day=data.equity_minute_bar_reader.first_trading_day,
            equity_daily_reader=data.equity_daily_bar_reader,
            equity_minute_reader=data.equity_minute_bar_reader,
            adjustment_reader=data.adjustment_reader,
        )
        for kind in kinds
    ]
    return made, data.asset_finder.retrieve_all(data.asset_finder.sids)


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")  # zipline's own
@pytest.mark.parametrize("step", [1, 23])
@pytest.mark.parametrize(
    ("name", "precision", "stock"),
    [
        ("early close", "bcolz", ZiplineDataPortal),
        ("early close", "full", StockPortal),
        ("break at noon", "full", StockPortal),
        ("day and night", "bcolz", ZiplineDataPortal),
    ],
)
def test_windows_of_days_are_zipline_s_at_every_minute(name, precision, stock, step):
    calendar, source, moments = market(name, decimals=4 if precision == "full" else 2)
    made, assets = portals(calendar, source, precision, (DataPortal, stock))
    random = np.random.default_rng(step)
    asked = [assets, assets[:1], [assets[3], assets[1], assets[2]]]
    begin = 0 if step > 1 else int(random.integers(len(moments) - 80))
    for moment in moments[begin::step][:80]:
        field, group = FIELDS[random.integers(6)], asked[random.integers(3)]
        request = group, moment, int(random.choice([1, 2, 5, 14])), "1d", field, "minute"
        ours, theirs = (portal.get_history_window(*request) for portal in made)
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True, check_freq=True)
        assert made[0].window(*request) is not None


def test_a_run_that_goes_back_sees_what_it_saw():
    calendar, source, moments = market("early close")
    ((ours,), assets) = portals(calendar, source, "bcolz", (DataPortal,))
    some = moments[::57]

    def seen(field, moment):
        return ours.get_history_window(assets, moment, 5, "1d", field, "minute")

    for field in FIELDS:
        forward = [seen(field, moment) for moment in some]
        for moment, before in reversed(list(zip(some, forward, strict=True))):
            pd.testing.assert_frame_equal(seen(field, moment), before, check_exact=True)


@pytest.mark.parametrize("field", FIELDS)
def test_a_window_of_days_is_the_caller_s_to_change(field):
    calendar, source, moments = market("early close")
    ((ours,), assets) = portals(calendar, source, "bcolz", (DataPortal,))
    request = assets, moments[600], 5, "1d", field, "minute"
    first = ours.get_history_window(*request)
    again = first.copy()
    first.iloc[:, :] = 0.0
    first.index.name = "mine"
    pd.testing.assert_frame_equal(ours.get_history_window(*request), again, check_exact=True)


def test_a_window_that_begins_before_the_bars_is_refused_as_zipline_does():
    calendar, source, moments = market("early close")
    made, assets = portals(calendar, source, "bcolz", (DataPortal, ZiplineDataPortal))
    messages = []
    for portal in made:
        with pytest.raises(HistoryWindowStartsBeforeData) as error:
            portal.get_history_window(assets, moments[600], 90, "1d", "price", "minute")
        messages.append(str(error.value))
    assert messages[0] == messages[1]
