"""An open bundle gives back what was ingested, exactly."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rustybt.data.adjustments import Events
from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import VALUES, dividends, minutes, sessions, splits, walk

DAYS = sessions("2019-12-16", "2020-01-15")
MOMENTS = minutes("2020-01-30", "2020-02-03")
SYMBOLS = ["A", "BRK.B", "^GSPC", "日経", "BTC/USDT"]

floats = st.floats(1e-300, 1e300) | st.floats(0.0001, 10_000)
cents = st.integers(1, 10**9).map(lambda units: units / 100)
amounts = st.floats(0, 1e300) | st.integers(0, 10**12).map(float)


@st.composite
def frames(draw, timestamps, prices):
    """Valid bars of some symbols at some times."""
    keys = st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(timestamps))
    rows = []
    for symbol, moment in sorted(draw(st.sets(keys, min_size=1, max_size=25))):
        low, one, other, high = sorted(draw(st.tuples(*[prices] * 4)))
        opened, close = draw(st.permutations([one, other]))
        rows.append((symbol, moment, opened, high, low, close, draw(amounts)))
    schema = ["symbol", "timestamp", *VALUES]
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    if frame.schema["timestamp"] != pl.Date:
        frame = frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
    return frame.sort("symbol", "timestamp")


def assert_same_bits(read, written):
    axes = ["symbol", "timestamp"]
    assert read.select(axes).equals(written.select(axes))
    for name in VALUES:
        one, other = (frame[name].to_numpy().view(np.int64) for frame in (read, written))
        np.testing.assert_array_equal(one, other)


each_in_turn = settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@each_in_turn
@given(frames(DAYS, floats) | frames(DAYS, cents))
def test_daily_bars_come_back_to_the_bit(frame):
    ingest(FrameSource(frame), "b", calendar="XNYS")
    bundle = open_bundle("b")
    assert bundle.bars("daily").schema == frame.schema
    assert_same_bits(bundle.bars("daily"), frame)
    assert_same_bits(bundle.scan("daily").collect().sort("symbol", "timestamp"), frame)


@each_in_turn
@given(frames(MOMENTS, floats) | frames(MOMENTS, cents))
def test_minutes_come_back_to_the_bit(frame):
    ingest(FrameSource(frame), "b", frequency="1m")
    bundle = open_bundle("b")
    assert bundle.bars("minute").schema == frame.schema
    assert_same_bits(bundle.bars("minute"), frame)
    assert_same_bits(bundle.scan("minute").collect().sort("symbol", "timestamp"), frame)


def test_prices_that_bcolz_destroys_come_back():
    rows = {"timestamp": DAYS[:4], "volume": [0.7, 4.5e12, 3.0, 0.0]}
    price = [1.234e-5, 150_000_000.0, 99_999.987654321, 0.1 + 0.2]
    frame = pl.DataFrame({"symbol": ["A"] * 4, **rows, **dict.fromkeys(VALUES[:4], price)})
    frame = frame.select("symbol", "timestamp", *VALUES)
    ingest(FrameSource(frame), "b")
    assert_same_bits(open_bundle("b").bars(), frame)


def test_two_bundles_never_mix():
    one, two = walk(["A", "B"], DAYS), walk(["B", "C"], DAYS, seed=1)
    for _ in range(2):
        ingest(FrameSource(one), "one")
        ingest(FrameSource(two), "two")
    assert open_bundle("one").bars().equals(one)
    assert open_bundle("two").bars().equals(two)
    assert open_bundle("one").assets["symbol"].to_list() == ["A", "B"]


def test_an_open_bundle_stays_at_its_version():
    one, two = walk(["A"], DAYS), walk(["A"], DAYS, seed=1)
    ingest(FrameSource(one), "b")
    before = open_bundle("b")
    panel = before.panel("daily")
    ingest(FrameSource(two), "b")
    assert before.bars().equals(one)
    np.testing.assert_array_equal(panel.values["close"][:, 0], one["close"].to_numpy())
    assert open_bundle("b").bars().equals(two)


def test_an_older_version_is_opened_by_its_time():
    one, two = walk(["A"], DAYS), walk(["A"], DAYS, seed=1)
    first = ingest(FrameSource(one), "b").version.timestamp
    ingest(FrameSource(two), "b", timestamp=first + timedelta(hours=1))
    assert open_bundle("b", first).bars().equals(one)
    assert open_bundle("b").bars().equals(two)


def test_assets_have_the_dates_of_their_bars():
    frame = pl.concat([walk(["A"], DAYS), walk(["B"], DAYS[3:-4])])
    ingest(FrameSource(frame), "b")
    assets = open_bundle("b").assets
    columns = ["sid", "symbol", "asset_name", "exchange", "start_date", "end_date"]
    assert assets.select(columns).rows() == [
        (0, "A", "A", "XNYS", DAYS[0], DAYS[-1]),
        (1, "B", "B", "XNYS", DAYS[3], DAYS[-5]),
    ]
    ends = zip(assets["end_date"], assets["auto_close_date"], strict=True)
    assert all(closed - end == timedelta(days=1) for end, closed in ends)


def test_with_both_frequencies_an_asset_lives_as_long_as_any_of_its_bars():
    daily = walk(["A"], DAYS[2:])
    early = walk(["A"], minutes(DAYS[0].isoformat(), DAYS[1].isoformat()))
    ingest(FrameSource({"1d": daily, "1m": early}), "b", frequency=("1d", "1m"))
    assert open_bundle("b").assets.select("start_date", "end_date").row(0) == (DAYS[0], DAYS[-1])


def test_events_come_back():
    given_events = Events(
        splits=splits(("A", "2020-01-06", 0.25)).splits,
        dividends=dividends(("A", "2020-01-07", 0.5, "2020-02-01"), ("B", "2020-01-08", 1, None))
        .dividends,
    )  # fmt: skip
    ingest(FrameSource(walk(["A", "B"], DAYS), given_events), "b")
    for (kind, read), (_, written) in zip(
        open_bundle("b").events.items(), given_events.items(), strict=True
    ):
        assert read.equals(written), kind


@pytest.mark.parametrize("kind", ["splits", "dividends", "mergers", "stock_dividends"])
def test_without_events_their_frames_are_empty_and_typed(kind):
    ingest(FrameSource(walk(["A"], DAYS)), "b")
    frame = getattr(open_bundle("b").events, kind)
    assert frame.equals(getattr(Events(), kind))
    assert frame.schema == getattr(Events(), kind).schema
