"""`run_algorithm` on a bundle: what it refuses, takes for granted, and says of itself."""

from importlib.metadata import version

import pandas as pd
import polars as pl
import pytest
import zipline
from zipline.data import bundles as zipline_bundles
from zipline.utils.calendar_utils import get_calendar

from rustybt.data.bundles import BundleMetadata
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import (
    CorruptVersionError,
    DateRangeError,
    FrequencyError,
    OptionError,
    UnknownBundleError,
)
from tests.compat import stock
from tests.compat.simulation import (
    BARS,
    DAYS,
    END,
    START,
    assert_same,
    buy,
    closes,
    initialize,
    simulate,
)
from tests.fakes import FrameSource
from tests.frames import minutes, sessions, walk


def test_the_algorithm_sees_each_session_once_with_its_own_close(bundle):
    perf = simulate()
    assert perf["close"].to_list() == closes()
    assert perf.index.tz_convert(None).normalize().equals(pd.DatetimeIndex(DAYS[21:40]))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (pd.Timestamp("2020-02-03", tz="UTC"), pd.Timestamp("2020-02-28", tz="UTC")),
        (pd.Timestamp("2020-02-03", tz="America/New_York"), END),
        (pd.Timestamp("2020-02-03", tz="Asia/Tokyo"), pd.Timestamp("2020-02-28", tz="Asia/Tokyo")),
        (pd.Timestamp("2020-02-03 15:30"), pd.Timestamp("2020-02-28 23:59")),
        (pd.Timestamp("2020-02-01"), pd.Timestamp("2020-03-01")),  # a Saturday, a Sunday
    ],
)
def test_dates_mean_sessions_however_they_are_written(bundle, start, end):
    assert_same(simulate(start, end), simulate())


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (
            "2019-12-02",
            "2020-02-28",
            "bars from 2020-01-02 to 2020-03-31.*2019-12-02 to 2020-02-28",
        ),
        (
            "2020-02-03",
            "2020-04-01",
            "bars from 2020-01-02 to 2020-03-31.*2020-02-03 to 2020-04-01",
        ),
        ("2010-01-04", "2010-02-01", "does not cover 2010-01-04 to 2010-02-01"),
        ("2020-02-28", "2020-02-03", "start 2020-02-28 lies after end 2020-02-03"),
        ("2020-02-01", "2020-02-02", "XNYS has no session from 2020-02-01 to 2020-02-02"),
    ],
)
def test_dates_outside_the_data_are_refused(bundle, start, end, message):
    with pytest.raises(DateRangeError, match=message):
        simulate(pd.Timestamp(start), pd.Timestamp(end))


def test_dates_may_reach_from_the_first_bar_to_the_last(bundle):
    assert len(simulate(pd.Timestamp(DAYS[0]), pd.Timestamp(DAYS[-1]))) == len(DAYS)


def test_minutes_of_a_daily_bundle_are_refused(bundle):
    with pytest.raises(
        FrequencyError, match=r"'b' has no minute bars \(it has 1d\).*--frequency 1m"
    ):
        simulate(data_frequency="minute")


def test_a_frequency_that_is_none_is_refused(bundle):
    with pytest.raises(OptionError, match="'minutely'; use daily or minute"):
        simulate(data_frequency="minutely")


def test_an_unknown_bundle_is_refused_and_the_known_ones_are_named(bundle):
    with pytest.raises(UnknownBundleError, match=r"no bundle 'bb'.*there are: b"):
        simulate(bundle="bb")


def test_a_damaged_bundle_is_refused():
    result = ingest(FrameSource(BARS), "b")
    victim = min((result.path / "daily").iterdir())
    victim.write_bytes(b"PAR1")
    with pytest.raises(CorruptVersionError, match=rf"{victim.name} is damaged"):
        simulate()


def test_a_timestamp_chooses_the_version():
    ingest(FrameSource(BARS), "b", timestamp="2021-05-01")
    other = walk(["A", "B"], DAYS, seed=9)
    ingest(FrameSource(other), "b", timestamp="2021-06-01")
    old = simulate(bundle_timestamp=pd.Timestamp("2021-05-15", tz="UTC"))
    assert old["close"].to_list() == closes()
    assert old.attrs["rustybt"]["version"] == "2021-05-01T00;00;00"
    assert simulate()["close"].to_list() != closes()
    with pytest.raises(UnknownBundleError, match="no version of 2021-04-01"):
        simulate(bundle_timestamp="2021-04-01")


def test_the_result_says_where_it_comes_from(bundle):
    perf = simulate()
    said = perf.attrs["rustybt"]
    metadata = BundleMetadata.load("b")
    assert said["bundle"] == "b"
    assert said["version"] == bundle.version.path.name
    assert said["content_hash"] == metadata.content_hash
    assert said["libraries"]["zipline-reloaded"] == version("zipline-reloaded")
    assert {"rustybt", "pandas", "numpy", "polars", "exchange_calendars"} < said["libraries"].keys()
    expected = {
        "start": "2020-02-03",
        "end": "2020-02-28",
        "capital_base": 1e5,
        "data_frequency": "daily",
        "calendar": "XNYS",
        "calendar_version": version("exchange_calendars"),
        "format": "rustybt",
        "source_type": "frame",
        "adjustment": "raw",
        "precision": "full",
        "quality_score": metadata.quality_score,
        "missing_data_pct": 0.0,
        "data_start": "2020-01-02",
        "data_end": "2020-03-31",
        "symbols": ["A", "B"],
        "assumptions": ["1 of 1 dividends have no pay date: a run pays them on the ex-date."],
    }
    assert {name: said[name] for name in expected} == expected


def test_the_result_keeps_saying_so_when_it_is_pickled(bundle, tmp_path):
    perf = simulate()
    perf.to_pickle(tmp_path / "perf.pickle")
    assert pd.read_pickle(tmp_path / "perf.pickle").attrs == perf.attrs


def test_a_run_changes_nothing_of_the_version(bundle):
    simulate()
    parquet = {path: path.stat().st_mtime_ns for path in bundle.version.path.rglob("*.parquet")}
    panel = {path: path.stat().st_mtime_ns for path in bundle.version.path.rglob("*.npy")}
    simulate()
    assert all(path.stat().st_mtime_ns == time for path, time in (parquet | panel).items())
    bundle.version.check(every_byte=True)


# Calendars.


def test_the_calendar_is_that_of_the_bundle():
    days = sessions("2020-01-02", "2020-03-31", "24/7")
    ingest(FrameSource(walk(["A"], days)), "coins", calendar="24/7")
    perf = simulate(bundle="coins")
    assert perf["period_open"].dt.dayofweek.nunique() == 7
    assert perf.attrs["rustybt"]["calendar"] == "24/7"


def test_a_calendar_that_begins_after_the_data_is_widened():
    days = sessions("2001-01-02", "2001-03-30", "XLON")
    ingest(FrameSource(walk(["A"], days)), "london", calendar="XLON")
    recent = get_calendar("XLON")
    assert recent.first_session > pd.Timestamp(days[-1])
    span = pd.Timestamp("2001-02-01"), pd.Timestamp("2001-03-01")
    asked = simulate(*span, bundle="london", trading_calendar=recent)
    assert_same(asked, simulate(*span, bundle="london"))


def test_another_calendar_than_the_bundles_can_be_asked_for(bundle):
    perf = simulate(trading_calendar=get_calendar("XLON"))
    shared = perf["close"].dropna()
    assert perf.attrs["rustybt"]["calendar"] == "XLON"
    assert shared.to_list() == [
        close for day, close in zip(DAYS[21:], closes(), strict=False)
        if day in sessions("2020-02-03", "2020-02-28", "XLON")
    ]  # fmt: skip


def test_minutes_run_with_their_own_values():
    moments = minutes("2020-11-25", "2020-11-30")  # an early close on the 27th
    bars = walk(["A"], moments)
    ingest(FrameSource(bars), "m", frequency="1m")
    seen = []

    def look(context, data):
        seen.append((zipline.api.get_datetime(), data.current(context.asset, "close")))

    span = pd.Timestamp("2020-11-27"), pd.Timestamp("2020-11-30")
    simulate(*span, bundle="m", data_frequency="minute", handle_data=look)
    written = bars.filter(pl.col("timestamp").dt.date() >= span[0].date())
    assert [moment for moment, _ in seen] == [pd.Timestamp(m) for m in written["timestamp"]]
    assert [close for _, close in seen] == written["close"].to_list()


# What zipline registered itself.


@pytest.fixture
def registered(zipline_root):
    """A bundle in zipline's own format, known to zipline by registration only."""
    dense = dict(stock.by_sid(BARS))

    def write(environ, assets, minute, daily, adjustments, calendar, start, end, *_):
        daily.write(dense.items())
        first, last = dense[0].index[[0, -1]]
        lives = {"start_date": first, "end_date": last, "exchange": "XNYS"}
        assets.write(equities=pd.DataFrame({"symbol": ["A", "B"], **lives}, index=[0, 1]))
        adjustments.write()

    span = dense[0].index[[0, -1]]
    zipline_bundles.register("theirs", write, start_session=span[0], end_session=span[1])
    zipline_bundles.ingest("theirs", show_progress=False)
    yield "theirs"
    zipline_bundles.unregister("theirs")


def test_a_bundle_that_only_zipline_has_runs_as_zipline_runs_it(registered):
    ours = simulate(bundle=registered)
    options = {"initialize": initialize, "handle_data": buy, "default_extension": False}
    theirs = zipline.run_algorithm(
        start=START, end=END, bundle=registered, capital_base=1e5, **options
    )
    assert_same(ours, theirs)
    said = ours.attrs["rustybt"]
    assert (said["bundle"], said["format"], said["calendar"]) == ("theirs", "bcolz", "XNYS")


def test_a_version_of_the_same_name_comes_first(registered):
    ingest(FrameSource(walk(["A"], DAYS, seed=5)), registered)
    perf = simulate(bundle=registered)
    assert perf.attrs["rustybt"]["format"] == "rustybt"
    assert perf["close"].to_list() != closes()


def test_an_extension_file_is_loaded_first(zipline_root):
    ingest(FrameSource(BARS), "b")
    (zipline_root / "extension.py").write_text(
        "from zipline.extensions import register\n"
        "from zipline.finance.blotter import Blotter, SimulationBlotter\n"
        "register(Blotter, 'of the extension')(lambda: SimulationBlotter())\n"
    )
    perf = simulate(default_extension=True, blotter="of the extension")
    assert perf["close"].to_list() == closes()


@pytest.mark.parametrize("asked", ["fast", "stock"])
def test_an_engine_can_be_chosen_and_is_recorded(bundle, asked, monkeypatch):
    chosen = simulate(engine=asked)
    assert chosen.attrs["rustybt"]["engine"] == asked
    assert_same(chosen, simulate())
    monkeypatch.setenv("RUSTYBT_ENGINE", asked)
    assert simulate().attrs["rustybt"]["engine"] == asked


def test_an_engine_that_is_none_is_refused(bundle, monkeypatch):
    with pytest.raises(OptionError, match="engine is 'turbo'; use fast or stock"):
        simulate(engine="turbo")
    monkeypatch.setenv("RUSTYBT_ENGINE", "turbo")
    with pytest.raises(OptionError, match="RUSTYBT_ENGINE is 'turbo'"):
        simulate()
