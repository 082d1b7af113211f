"""The readers of a bundle answer as zipline's own readers of the same bars, to the bit."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from zipline.data.bar_reader import OHLCV, NoDataOnDate
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat._panel_reader import BarsInfo
from rustybt.compat.bar_readers import MinutePanelReader, SessionPanelReader
from rustybt.data.bundles.panel import empty_panel
from rustybt.data.errors import CalendarError
from tests.compat import stock
from tests.frames import VALUES, minutes, sessions, walk

UINT32_MAX = 2**32 - 1

#: Sessions with a gap of holidays in them, and days around.
SPANS = {
    "XNYS": ("2020-11-19", "2020-12-04"),
    "XLON": ("2020-12-18", "2021-01-05"),
    "XHKG": ("2020-01-20", "2020-02-04"),
    "24/7": ("2020-12-28", "2021-01-04"),
}

thousandths = st.integers(1, UINT32_MAX).map(lambda units: units / 1000)
# Not of zipline's precision: its writer rounds them, and what rounds to zero is no price.
others = st.floats(1e-5, 4e6)
volumes = st.just(0.0) | st.integers(0, UINT32_MAX).map(float) | st.floats(0, UINT32_MAX)


@st.composite
def daily_bars(draw, days):
    """Bars of some symbols, each with its own life and gaps."""
    rows = []
    for symbol in draw(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=3, unique=True)):
        for day in sorted(draw(st.sets(st.sampled_from(days), min_size=1, max_size=6))):
            low, opened, close, high = sorted(draw(st.tuples(*[thousandths | others] * 4)))
            rows.append((symbol, day, opened, high, low, close, draw(volumes)))
    schema = ["symbol", "timestamp", *VALUES]
    return pl.DataFrame(rows, schema=schema, orient="row").sort("symbol", "timestamp")


def ask_both(ours, theirs, method, *arguments):
    """The answers of both readers to one call."""
    return [stock.ask(getattr(reader, method), *arguments) for reader in (ours, theirs)]


def assert_same_facts(ours, theirs):
    assert ours.first_trading_day == theirs.first_trading_day
    assert ours.last_available_dt == theirs.last_available_dt
    assert ours.trading_calendar is theirs.trading_calendar
    assert ours.data_frequency == theirs.data_frequency


SIDS = [0, 1, 2, 9]  # the last is never there


def assert_same_values(ours, theirs, moments, asset_of):
    for moment in moments:
        for sid in SIDS:
            for field in OHLCV:
                answer, expected = ask_both(ours, theirs, "get_value", sid, moment, field)
                assert answer == expected, (sid, moment, field)
            asset = asset_of(sid)
            answer, expected = ask_both(ours, theirs, "get_last_traded_dt", asset, moment)
            assert answer == expected, (sid, moment)


def assert_same_arrays(ours, theirs, spans, groups):
    for start, end in spans:
        for sids in groups:
            request = (list(OHLCV), start, end, pd.Index(sids, dtype="int64"))
            answer, expected = ask_both(ours, theirs, "load_raw_arrays", *request)
            assert answer == expected, (start, end, sids)


@pytest.mark.parametrize("calendar", SPANS)
def test_daily_answers_are_those_of_zipline(calendar, tmp_path_factory):
    days = sessions(*SPANS[calendar], calendar)

    @settings(max_examples=4)
    @given(daily_bars(days))
    def compare(bars):
        root = tmp_path_factory.mktemp("daily")
        theirs = stock.write_daily(bars, calendar, root / "stock")
        bundle = stock.ingested(bars, root, calendar=calendar, precision="bcolz")
        ours = stock.session_reader(bundle)
        assert_same_facts(ours, theirs)
        assert ours.sessions.equals(theirs.sessions)
        first, last = theirs.sessions[[0, -1]]
        wide = pd.date_range(first - pd.Timedelta(days=4), last + pd.Timedelta(days=4))
        moments = [*wide, first + pd.Timedelta(hours=9)]
        assert_same_values(ours, theirs, moments, lambda sid: stock.equity(sid, first, last))
        middle, far = theirs.sessions[len(theirs.sessions) // 2], pd.Timedelta(days=30)
        spans = [(first, last), (middle, last), (last, first), (first - far, last)]
        assert_same_arrays(ours, theirs, spans, [[0], [1, 0], [2, 9], [9], []])

    compare()


#: Calendar, sessions with an early close or a holiday in them, minutes of an ordinary session.
MINUTE_SPANS = [
    ("XNYS", "2020-11-25", "2020-11-30", 390),
    ("XLON", "2020-12-23", "2020-12-29", 510),
    ("24/7", "2020-12-31", "2021-01-01", 1440),
]


def random_minutes(seed, moments):
    """Bars of three symbols, each in a part of the minutes."""
    random = np.random.default_rng(seed)
    parts = []
    for symbol in "ABC":
        start, stop = sorted(random.choice(len(moments) + 1, 2, replace=False))
        rows = np.flatnonzero(random.random(stop - start) < random.choice([0.02, 0.5, 1.0])) + start
        rows = rows if len(rows) else np.array([start])
        prices = np.sort(random.integers(1, UINT32_MAX, (4, len(rows))), axis=0) / 1000
        columns = dict(zip(("low", "open", "close", "high"), prices, strict=True))
        volume = random.integers(0, 2_000_000, len(rows)) * random.integers(0, 2, len(rows))
        times = {"symbol": symbol, "timestamp": [moments[row] for row in rows]}
        parts.append(pl.DataFrame({**times, **columns, "volume": volume.astype(float)}))
    instants = pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
    return pl.concat(parts).select("symbol", instants, *VALUES).sort("symbol", "timestamp")


def some_moments(seed, calendar, first, last):
    """Minutes of all kinds: trading ones, those around opens and closes, nights and weekends."""
    random = np.random.default_rng(seed)
    exchange = get_calendar(calendar)
    start, end = exchange.session_first_minute(first), exchange.session_close(last)
    everything = pd.date_range(start, end + pd.Timedelta(days=3), freq="min")
    chosen = list(everything[np.sort(random.choice(len(everything), 60, replace=False))])
    for session in exchange.sessions_in_range(first, last):
        for edge in (exchange.session_first_minute(session), exchange.session_close(session)):
            chosen += [edge + pd.Timedelta(minutes=offset) for offset in (-1, 0, 1, 2, 60, 400)]
    return sorted(moment for moment in chosen if moment >= start)


@pytest.mark.parametrize(("calendar", "first", "last", "minutes_per_day"), MINUTE_SPANS)
def test_minute_answers_are_those_of_zipline(
    calendar, first, last, minutes_per_day, tmp_path_factory
):
    everything = minutes(first, last, calendar)

    @settings(max_examples=3, phases=[Phase.generate])  # a smaller seed is no simpler example
    @given(st.integers(0, 2**32))
    def compare(seed):
        root = tmp_path_factory.mktemp("minutes")
        bars = random_minutes(seed, everything)
        theirs = stock.write_minutes(bars, calendar, minutes_per_day, root / "stock")
        options = {"calendar": calendar, "frequency": "1m", "precision": "bcolz"}
        ours = stock.minute_reader(stock.ingested(bars, root, **options), minutes_per_day)
        assert_same_facts(ours, theirs)
        span = theirs.first_trading_day, theirs.calendar.minute_to_session(theirs.last_available_dt)
        moments = some_moments(seed, calendar, *span)
        lives = stock.equity(0, *span), stock.equity(1, span[1], span[1]), stock.equity(2, *span)
        assert_same_values(ours, theirs, moments, lambda sid: lives[min(sid, 2)])
        trading = [moment for moment in moments if theirs.calendar.is_trading_minute(moment)]
        spans = [(trading[0], trading[-1]), (trading[5], trading[len(trading) // 2])]
        spans += [(trading[-1], trading[-1])]
        spans += [(moment, trading[-1]) for moment in moments[::10]]
        spans += [(trading[0], moment) for moment in moments[::10]]
        assert_same_arrays(ours, theirs, spans, [[0], [2, 0, 1], [0, 9], []])
        assert_same_arrays(ours, theirs, [(trading[-1], trading[0])], [[0], [2, 0, 1]])

    compare()


# Where the readers differ from zipline's on purpose.


@pytest.fixture
def hong_kong(tmp_path):
    """Minutes of a market with a lunch break, in both formats."""
    bars = random_minutes(3, minutes("2020-01-02", "2020-01-03", "XHKG"))
    theirs = stock.write_minutes(bars, "XHKG", 391, tmp_path / "stock")
    bundle = stock.ingested(bars, tmp_path, calendar="XHKG", frequency="1m", precision="bcolz")
    return stock.minute_reader(bundle), theirs


def test_minute_arrays_have_no_rows_for_a_lunch_break(hong_kong):
    # zipline's do, and its dispatching reader then refuses them for their shape.
    _, theirs = hong_kong
    span = theirs.calendar.session_first_minute("2020-01-02"), theirs.last_available_dt
    (own,), (with_lunch,) = (
        reader.load_raw_arrays(["close"], *span, [0, 1]) for reader in hong_kong
    )
    trading = theirs.calendar.minutes_in_range(*span)
    assert len(own) == len(trading) < len(with_lunch)
    assert np.nansum(own) == np.nansum(with_lunch)


def test_a_minute_of_a_lunch_break_has_no_value_as_in_zipline(hong_kong):
    lunch = pd.Timestamp("2020-01-02 04:30", tz="UTC")
    for field in OHLCV:
        answer, expected = ask_both(*hong_kong, "get_value", 0, lunch, field)
        assert answer == expected


@pytest.mark.parametrize("name", ["XNYS", "XHKG", "24/7", "24/5", "CMES", "XTAE"])
@pytest.mark.parametrize("sessions", [slice(0, None), slice(100, 260), slice(3, 4)])
def test_the_axis_of_minutes_is_the_calendar_s(name, sessions):
    calendar = get_calendar(name)
    days = calendar.sessions[-800:][sessions]
    info = BarsInfo(days[0], days[-1])
    reader = MinutePanelReader(empty_panel(), calendar, info)
    expected = calendar.sessions_minutes(days[0], days[-1]).asi8 // (60 * 10**9)
    np.testing.assert_array_equal(reader._axis.labels, expected, strict=True)


def test_a_minute_before_the_first_session_is_no_minute(hong_kong):
    # zipline counts backwards from the end of its arrays there.
    ours, _ = hong_kong
    before = pd.Timestamp("2019-12-31 03:00", tz="UTC")
    with pytest.raises(NoDataOnDate, match=r"2019-12-31 03:00.* is not a market minute"):
        ours.get_value(0, before, "close")
    with pytest.raises(ValueError, match=r"2019-12-31 03:00.* is not a market minute"):
        ours.load_raw_arrays(["close"], before, ours.last_available_dt, [0])


# Under precision "full" every digit comes back.

PRICES = [1.234e-5, 150_000_000.0, 0.1 + 0.2, 4_294_967_296.5]
VOLUMES = [0.7, 4.5e12, 0.0, 12_345_678_901.0]


def full_precision(timestamps):
    columns = {"timestamp": timestamps, **dict.fromkeys(VALUES[:4], PRICES), "volume": VOLUMES}
    frame = pl.DataFrame({"symbol": ["A"] * len(PRICES), **columns}).select(
        "symbol", "timestamp", *VALUES
    )
    if frame.schema["timestamp"] == pl.Date:
        return frame
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


def readers_of_full_precision(tmp_path):
    days = sessions("2020-01-02", "2020-01-07")
    moments = minutes("2020-01-02", "2020-01-02")[:4]
    daily = stock.ingested(full_precision(days), tmp_path / "daily")
    intraday = stock.ingested(full_precision(moments), tmp_path / "minute", frequency="1m")
    return [
        (stock.session_reader(daily), [pd.Timestamp(day) for day in days]),
        (stock.minute_reader(intraday), [pd.Timestamp(moment) for moment in moments]),
    ]


def test_every_digit_comes_back_one_by_one(tmp_path):
    for reader, moments in readers_of_full_precision(tmp_path):
        for field in VALUES[:4]:
            assert [reader.get_value(0, moment, field) for moment in moments] == PRICES
        assert [reader.get_value(0, moment, "volume") for moment in moments] == VOLUMES


def test_every_digit_comes_back_in_arrays(tmp_path):
    for reader, moments in readers_of_full_precision(tmp_path):
        *prices, volume = reader.load_raw_arrays(list(VALUES), moments[0], moments[-1], [0])
        for array in prices:
            assert array[:, 0].tolist() == PRICES
        assert volume[:, 0].tolist() == VOLUMES
        assert {array.dtype for array in (*prices, volume)} == {np.dtype("float64")}


def test_whole_volumes_are_integers_and_others_floats(tmp_path):
    day = sessions("2020-01-02", "2020-01-02")
    for volume, kind in ((4.5e12, int), (0.7, float)):
        bars = full_precision(sessions("2020-01-02", "2020-01-07")).head(1)
        bars = bars.with_columns(volume=pl.lit(volume))
        reader = stock.session_reader(stock.ingested(bars, tmp_path / str(volume)))
        value = reader.get_value(0, pd.Timestamp(day[0]), "volume")
        assert type(value) is kind
        assert value == volume


# Whatever is asked in whatever order.


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6, unique=True))
def test_one_asset_or_many_in_any_order_have_the_same_values(reader_of_five, sids):
    reader, bars = reader_of_five
    span = reader.sessions[0], reader.sessions[-1]
    (many,) = reader.load_raw_arrays(["close"], *span, sids)
    for column, sid in enumerate(sids):
        (alone,) = reader.load_raw_arrays(["close"], *span, [sid])
        np.testing.assert_array_equal(many[:, column], alone[:, 0])
        own = bars.filter(pl.col("symbol") == "ABCDE"[sid])
        np.testing.assert_array_equal(alone[:, 0], own["close"].to_numpy())


@pytest.fixture(scope="module")
def reader_of_five(tmp_path_factory):
    bars = walk("ABCDE", sessions("2020-01-02", "2020-01-31"))
    bundle = stock.ingested(bars, tmp_path_factory.mktemp("five"))
    return stock.session_reader(bundle), bars


def test_the_arrays_of_one_request_are_the_caller_s_each(reader_of_five):
    reader, _ = reader_of_five
    request = reader.sessions[0], reader.sessions[-1], [3, 1]
    arrays = dict(zip(OHLCV, reader.load_raw_arrays(OHLCV, *request), strict=True))
    arrays["close"][:] = 0.0
    for field in ("open", "high", "low", "volume"):
        (alone,) = reader.load_raw_arrays([field], *request)
        np.testing.assert_array_equal(arrays[field], alone)
    (close,) = reader.load_raw_arrays(["close"], *request)
    assert (close > 0).all()


def test_a_session_without_a_bar_has_no_price_and_no_volume(tmp_path):
    days = sessions("2020-01-02", "2020-01-10")
    bars = walk(["A"], days[:2] + days[4:])
    reader = stock.session_reader(stock.ingested(bars, tmp_path))
    gap = pd.Timestamp(days[3])
    assert np.isnan(reader.get_value(0, gap, "close"))
    assert reader.get_value(0, gap, "volume") == 0
    assert reader.get_last_traded_dt(stock.equity(0, days[0], days[-1]), gap) == pd.Timestamp(
        days[1]
    )


def test_an_ingest_leaves_ziplines_calendars_alone(tmp_path):
    before = get_calendar("XNYS")
    stock.ingested(walk(["A"], sessions("2015-01-02", "2015-01-05")), tmp_path).panel("daily")
    assert get_calendar("XNYS") is before


def test_a_calendar_that_has_changed_since_the_ingest_is_an_error(tmp_path):
    bundle = stock.ingested(walk(["A"], sessions("2020-01-02", "2020-01-31")), tmp_path)
    other = SessionPanelReader(bundle.panel("daily"), get_calendar("XLON"), BarsInfo.of(bundle))
    with pytest.raises(CalendarError, match="XLON has changed since the bundle was ingested"):
        other.get_value(0, pd.Timestamp("2020-01-06"), "close")


def test_a_value_needs_no_calendar_of_a_bundle_of_the_same_release(tmp_path):
    bundle = stock.ingested(walk(["A"], sessions("2020-01-02", "2020-01-31")), tmp_path)

    def calendar():
        asked.append("calendar")
        return get_calendar("XNYS")

    asked = []
    reader = SessionPanelReader(bundle.panel("daily"), calendar, BarsInfo.of(bundle))
    day = pd.Timestamp("2020-01-06")
    value = reader.get_value(0, day, "close")
    assert asked == []
    with pytest.raises(NoDataOnDate, match="2020-01-05 00:00:00 is not a session"):
        reader.get_value(0, pd.Timestamp("2020-01-05"), "close")
    assert reader.load_raw_arrays(["close"], day, day, [0])[0].item() == value
    assert asked == ["calendar"]
