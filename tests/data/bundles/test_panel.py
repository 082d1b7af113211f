"""Panels hold the values of the bars, each at its time and asset."""

import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rustybt.data.bundles import open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.bundles.panel import UINT32_MAX, open_panel, write_panel
from tests.fakes import FrameSource
from tests.frames import VALUES, bars, minutes, sessions, walk

DAYS = sessions("2019-12-02", "2020-01-31")
LATER = walk(["B"], DAYS[10:], seed=1)
GAPS = walk(["C"], DAYS[:5] + DAYS[9:30], seed=2)
DAILY = pl.concat([walk(["A"], DAYS), LATER, GAPS])
MINUTES = walk(["A", "B"], minutes("2020-11-25", "2020-11-30")).filter(
    pl.int_range(pl.len()) % 7 != 0
)


def dense(frame, labels, sids, name):
    """The values of a field, cell by cell."""
    missing = 0.0 if name == "volume" else np.nan
    cells = {(row[0], row[1]): row[2] for row in frame.select("timestamp", "symbol", name).rows()}
    return np.array([[cells.get((label, sid), missing) for sid in sids] for label in labels])


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    return {"ZIPLINE_ROOT": str(tmp_path_factory.mktemp("panels"))}


@pytest.fixture(scope="module")
def panel(environ):
    """The panel of the daily bars."""
    ingest(FrameSource(DAILY), "daily", environ=environ)
    return open_bundle("daily", environ=environ).panel("daily")


@pytest.fixture(scope="module")
def minute_panel(environ):
    """The panel of the minutes."""
    ingest(FrameSource(MINUTES), "minute", frequency="1m", environ=environ)
    return open_bundle("minute", environ=environ).panel("minute")


@pytest.mark.parametrize("name", VALUES)
def test_daily_values_lie_at_their_session_and_asset(panel, name):
    assert panel.labels.astype("datetime64[D]").tolist() == DAYS
    assert panel.sids.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(panel.values[name], dense(DAILY, DAYS, "ABC", name))


@pytest.mark.parametrize("name", VALUES)
def test_minute_values_lie_at_their_minute_and_asset(minute_panel, name):
    labels = minutes("2020-11-25", "2020-11-30")  # an early close on the 27th
    assert (minute_panel.labels * 60).tolist() == [int(moment.timestamp()) for moment in labels]
    np.testing.assert_array_equal(minute_panel.values[name], dense(MINUTES, labels, "AB", name))


def test_lives_are_rows_of_the_first_and_last_bar(panel):
    last = len(DAYS) - 1
    assert panel.first.tolist() == [0, 10, 0]
    assert panel.last.tolist() == [last, last, 29]


def test_the_axis_of_a_market_with_a_lunch_break_has_no_minute_in_it():
    own = walk(["A"], minutes("2020-01-02", "2020-01-03", "XHKG"))
    ingest(FrameSource(own), "b", frequency="1m", calendar="XHKG")
    panel = open_bundle("b").panel("minute")
    assert len(panel.labels) == len(own)
    assert not np.isnan(panel.values["close"]).any()


@given(sids=st.lists(st.integers(-2, 12), max_size=8))
def test_columns_are_found_in_any_order(panel, sids):
    expected = [{0: 0, 1: 1, 2: 2}.get(sid, -1) for sid in sids]
    assert panel.columns_of(sids).tolist() == expected


def test_no_sid_has_a_column_in_a_panel_without_bars():
    ingest(FrameSource(DAILY), "b")
    assert open_bundle("b").panel("minute").columns_of([0, 1]).tolist() == [-1, -1]


prices = st.integers(1, UINT32_MAX).map(lambda units: units / 1000) | st.floats(5e-4, 4e6)
volumes = st.integers(0, UINT32_MAX).map(float) | st.floats(0, UINT32_MAX)


@settings(max_examples=40)
@given(st.lists(st.tuples(prices, volumes), min_size=1, max_size=20))
def test_under_bcolz_values_are_what_zipline_computes_from_its_integers(tmp_path_factory, drawn):
    directory = tmp_path_factory.mktemp("panel")
    price, volume = (np.array(column) for column in zip(*drawn, strict=True))
    axes = {"sid": np.zeros(len(drawn), dtype=np.int64), "timestamp": pl.Series(DAYS[: len(drawn)])}
    part = pl.DataFrame({**axes, **dict.fromkeys(VALUES[:4], price), "volume": volume})
    labels = part["timestamp"].to_numpy().astype("datetime64[D]").astype(np.int64)
    write_panel(directory, labels, np.array([0]), [part], "bcolz")
    stored = np.round(price * 1000).astype(np.uint32)
    expected = np.where(stored == 0, np.nan, stored * 0.001)
    panel = open_panel(directory)
    np.testing.assert_array_equal(panel.values["close"][:, 0], expected)
    np.testing.assert_array_equal(panel.values["volume"][:, 0], volume.astype(np.uint32))


@pytest.mark.parametrize(
    ("value", "bcolz"),
    [(1.234e-5, np.nan), (0.0004, np.nan), (0.0005, np.nan), (0.0006, 0.001), (1.2345, 1.234)],
)
def test_precision_decides_what_a_small_price_reads_as(value, bcolz):
    row = bars({"A": {"2020-01-06": [value] * 4 + [10.9]}})
    for precision, price, volume in (("full", value, 10.9), ("bcolz", bcolz, 10.0)):
        ingest(FrameSource(row), precision, precision=precision)
        panel = open_bundle(precision).panel("daily")
        np.testing.assert_array_equal(panel.values["close"], [[price]])
        assert panel.values["volume"].item() == volume


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_parts_come_in_any_order(tmp_path, order):
    labels, sids = np.arange(100, 112), np.array([3, 8])
    parts = [
        pl.DataFrame(
            {
                "sid": [sid] * len(days),
                "timestamp": pl.Series(days, dtype=pl.Int32).cast(pl.Date),
                **{name: np.array(days) + sid / 10 for name in VALUES},
            }
        )
        for sid, days in ((3, [101, 103]), (8, [102, 105]), (3, [104, 105, 106]), (8, [109]))
    ]
    write_panel(tmp_path, labels, sids, [parts[number] for number in order])
    panel = open_panel(tmp_path)
    expected = np.full((12, 2), np.nan)
    for part in parts:
        for sid, day, close in part.select(
            "sid", pl.col("timestamp").cast(pl.Int32), "close"
        ).rows():
            expected[day - 100, int(sid == 8)] = close
    np.testing.assert_array_equal(panel.values["close"], expected)
    np.testing.assert_array_equal(panel.values["volume"], np.nan_to_num(expected))
    assert (panel.first.tolist(), panel.last.tolist()) == ([1, 2], [6, 9])


@pytest.mark.parametrize("shape", [(0, 0), (1, 2), (5, 3)])
def test_what_is_mapped_is_what_numpy_loads_and_cannot_be_written_to(tmp_path, shape):
    write_panel(tmp_path, np.arange(shape[0]), np.arange(shape[1]), [])
    panel = open_panel(tmp_path)
    for name, values in {**panel.values, "labels": panel.labels, "sids": panel.sids}.items():
        expected = np.load(tmp_path / f"{name}.npy")
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected, strict=True)
        assert not (values.size and name in VALUES and values.flags.writeable)


def after_an_update(name):
    """The version that an update by one session made of a bundle whose panel was written."""
    source = FrameSource(DAILY)
    ingest(
        FrameSource(DAILY.filter(pl.col("timestamp") < DAYS[-1])), name, start=DAYS[0], end=DAYS[-2]
    )
    return ingest(source, name, update=True, end=DAYS[-1]).version


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "before",
    [lambda panel: None, lambda panel: flip(panel / "close.npy"), shutil.rmtree],
    ids=["sound", "damaged", "gone"],
)
def test_an_update_leaves_the_panel_to_its_first_reader(panel, before):
    version = after_an_update("b")
    assert not (version.path / "panel").exists()
    before(storage.versions("b")[1].path / "panel/daily")
    grown = open_bundle("b").panel("daily")
    assert (version.path / "panel/daily").is_dir()
    for name in ("labels", "sids", "first", "last"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(panel, name))
    np.testing.assert_equal(grown.values, panel.values)


def test_a_panel_is_made_of_the_newest_that_there_is():
    after_an_update("b")
    later = walk(["A"], sessions("2020-02-03", "2020-02-05"), seed=3)
    ingest(FrameSource(pl.concat([DAILY, later])), "b", update=True, end=later["timestamp"].max())
    grown = open_bundle("b").panel("daily")
    last = len(later)
    np.testing.assert_array_equal(grown.values["close"][-last:, 0], later["close"])
    assert np.isnan(grown.values["close"][-last:, 1:]).all()
