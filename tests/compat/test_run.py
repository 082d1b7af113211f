"""`run_algorithm` on a bundle: what it refuses, takes for granted, and says of itself."""

import hashlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import zipline
from zipline.api import attach_pipeline, order, pipeline_output, record, set_benchmark, symbol
from zipline.data import bundles as zipline_bundles
from zipline.pipeline import Pipeline
from zipline.pipeline.data import Column, DataSet, EquityPricing
from zipline.pipeline.domain import US_EQUITIES
from zipline.pipeline.loaders.frame import DataFrameLoader
from zipline.utils.calendar_utils import get_calendar
from zipline.utils.run_algo import BenchmarkSpec

from rustybt import run_algorithm
from rustybt.compat.run import Algorithm, Setting, run
from rustybt.data.bundles import BundleMetadata, open_bundle
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import (
    BenchmarkError,
    CorruptVersionError,
    DateRangeError,
    FrequencyError,
    OptionError,
    UnknownBundleError,
)
from tests.compat import stock
from tests.fakes import FrameSource
from tests.frames import VALUES, dividends, minutes, sessions, walk

REPOSITORY = Path(__file__).parents[2]
DAYS = sessions("2020-01-02", "2020-03-31")
BARS = walk(["A", "B"], DAYS)
START, END = pd.Timestamp("2020-02-03"), pd.Timestamp("2020-02-28")


def initialize(context):
    context.asset = symbol("A")


def buy(context, data):
    order(context.asset, 1)
    record(close=data.current(context.asset, "close"))


def simulate(start=START, end=END, bundle="b", **options):
    """Run, without an extension file and with a hundred thousand."""
    defaults = {
        "initialize": initialize,
        "handle_data": buy,
        "capital_base": 1e5,
        "default_extension": False,
    }
    return run_algorithm(start=start, end=end, bundle=bundle, **{**defaults, **options})


def assert_same(one, other):
    """Two performance frames are equal to the bit."""
    pd.testing.assert_frame_equal(stock.plain(one), stock.plain(other), check_exact=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root with the bundle ``b`` of two assets, daily."""
    path = tmp_path_factory.mktemp("run") / "zipline"
    events = dividends(("B", "2020-02-10", 0.5, None))
    environ = {"ZIPLINE_ROOT": str(path)}
    ingest(FrameSource(BARS, events, config={"path": "here"}), "b", environ=environ)
    return path


@pytest.fixture
def bundle(root, monkeypatch):
    """That root as the environment's."""
    monkeypatch.setenv("ZIPLINE_ROOT", str(root))
    return open_bundle("b")


def closes(name="A", first=START, last=END):
    inside = pl.col("timestamp").is_between(first.date(), last.date())
    return BARS.filter(inside & (pl.col("symbol") == name))["close"].to_list()


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
    (result.path / "daily" / "2020.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorruptVersionError, match=r"2020\.parquet is damaged"):
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


# Benchmarks.


def with_benchmark(name):
    def begin(context):
        initialize(context)
        set_benchmark(symbol(name))

    return begin


def test_without_a_benchmark_it_is_zero(bundle):
    assert (simulate()["benchmark_period_return"] == 0).all()


def test_a_symbol_can_be_the_benchmark(bundle):
    perf = simulate(initialize=with_benchmark("B"))
    before = closes("B", pd.Timestamp("2020-01-31"), pd.Timestamp("2020-01-31"))[0]
    expected = np.array(closes("B")) / before
    # B paid half a dollar before the sixth session: what was held until then is worth that more.
    expected[5:] /= 1 - 0.5 / closes("B")[4]
    # zipline rounds the adjusted closes to three decimals, both of a quotient.
    np.testing.assert_allclose(perf["benchmark_period_return"], expected - 1, atol=1.1e-3 / before)


def test_returns_can_be_the_benchmark(bundle):
    returns = pd.Series(0.01, index=pd.DatetimeIndex(DAYS))
    perf = simulate(benchmark_returns=returns)
    expected = 1.01 ** np.arange(1, len(perf) + 1) - 1
    np.testing.assert_allclose(perf["benchmark_period_return"], expected, rtol=1e-12)


SETTING = Setting(start=START, end=END, capital_base=1e5, bundle="b")


def benchmark(**given):
    unset = dict.fromkeys(("benchmark_sid", "benchmark_symbol", "benchmark_file"))
    return BenchmarkSpec.from_cli_params(**{**unset, "no_benchmark": False, **given})


@pytest.mark.parametrize("given", [{"benchmark_symbol": "B"}, {"benchmark_sid": 1}])
def test_the_benchmark_of_a_command_line_is_that_of_set_benchmark(bundle, given):
    algorithm = Algorithm("test", {"initialize": initialize, "handle_data": buy})
    perf = run(algorithm, SETTING, benchmark(**given))
    expected = simulate(initialize=with_benchmark("B"))["benchmark_period_return"]
    pd.testing.assert_series_equal(perf["benchmark_period_return"], expected, check_exact=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [({}, "no benchmark: call set_benchmark"), ({"benchmark_symbol": "NOPE"}, "NOPE")],
)
def test_a_benchmark_that_is_not_there_is_an_error(bundle, given, message):
    algorithm = Algorithm("test", {"initialize": initialize, "handle_data": buy})
    with pytest.raises(BenchmarkError, match=message):
        run(algorithm, SETTING, benchmark(**given))


def test_a_script_runs_as_its_functions_do(bundle):
    script = """
from zipline.api import order, record, symbol
def initialize(context):
    context.asset = symbol(TICKER)
def handle_data(context, data):
    order(context.asset, 1)
    record(close=data.current(context.asset, "close"))
"""
    algorithm = Algorithm("test", script=script, namespace={"TICKER": "A"})
    perf = run(algorithm, SETTING, benchmark(no_benchmark=True))
    assert_same(perf, simulate())


# Pipelines.


class Numbers(DataSet):
    number = Column(dtype=float)
    domain = US_EQUITIES


def with_pipeline(**columns):
    seen = []

    def begin(context):
        attach_pipeline(Pipeline(columns), "pipeline")

    def look(context, data):
        seen.append(pipeline_output("pipeline"))

    return {"initialize": begin, "before_trading_start": look, "handle_data": None}, seen


def test_a_pipeline_sees_the_session_before_as_it_was_written(bundle):
    columns = {name: getattr(EquityPricing, name).latest for name in VALUES}
    functions, seen = with_pipeline(**columns)
    simulate(**functions)
    found = [tuple(table[list(VALUES)].iloc[0]) for table in seen]
    own = BARS.filter(pl.col("symbol") == "A").select(VALUES).rows()
    assert found == own[20 : 20 + len(seen)]


def test_a_pipeline_keeps_every_digit():
    odd = {"price": [1.234e-5, 150_000_000.0, 0.1 + 0.2], "volume": [0.7, 4.5e12, 1e-8]}
    bars = BARS.filter(pl.col("symbol") == "A").with_columns(
        *(pl.Series(name, np.resize(odd["price"], len(DAYS))) for name in VALUES[:4]),
        volume=pl.Series(np.resize(odd["volume"], len(DAYS))),
    )
    ingest(FrameSource(bars), "odd")
    functions, seen = with_pipeline(
        close=EquityPricing.close.latest, volume=EquityPricing.volume.latest
    )
    simulate(bundle="odd", **functions)
    found = [tuple(table[["close", "volume"]].to_numpy()[0]) for table in seen]
    assert found == bars.select("close", "volume").rows()[20 : 20 + len(seen)]


def test_a_custom_loader_loads_its_own_columns(bundle):
    values = pd.DataFrame(7.0, index=pd.DatetimeIndex(DAYS), columns=[0, 1])
    functions, seen = with_pipeline(number=Numbers.number.latest, close=EquityPricing.close.latest)
    loader = {Numbers.number: DataFrameLoader(Numbers.number, values)}
    simulate(custom_loader=loader, **functions)
    assert (seen[-1]["number"] == 7.0).all()
    assert seen[-1]["close"].iloc[0] == closes()[-2]


def test_a_column_without_a_loader_is_an_error_that_names_it(bundle):
    functions, _ = with_pipeline(number=Numbers.number.latest)
    with pytest.raises(ValueError, match=r"no pipeline loader for column .*number.*custom_loader"):
        simulate(**functions)


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


# The machine's timezone.

IN_A_TIMEZONE = """
import sys, warnings
warnings.simplefilter("ignore")
from tests.compat.test_run import digest_of_runs
print(digest_of_runs())
"""


def digest_of_runs():
    """Ingest and run daily and minute bars over the weeks when clocks change; a digest of all."""
    daily = walk(["A"], sessions("2020-03-02", "2020-11-06"))
    intraday = walk(["A"], minutes("2020-04-02", "2020-04-06"))
    hashes = [
        ingest(FrameSource(daily), "b").metadata.content_hash,
        ingest(FrameSource(intraday), "m", frequency="1m").metadata.content_hash,
    ]
    spans = [
        ("b", "2020-03-03", "2020-11-06", "daily"),
        ("m", "2020-04-03", "2020-04-06", "minute"),
    ]
    for bundle, first, last, frequency in spans:
        perf = simulate(
            pd.Timestamp(first), pd.Timestamp(last), bundle=bundle, data_frequency=frequency
        )
        perf = stock.plain(perf)
        hashes += [repr(perf.to_dict("list")), repr(perf.index.to_list())]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


@pytest.mark.slow
def test_the_timezone_of_the_machine_changes_nothing(tmp_path):
    running = []
    for zone in ("Europe/Berlin", "Asia/Tokyo", "Australia/Sydney"):
        environ = {**os.environ, "TZ": zone, "ZIPLINE_ROOT": str(tmp_path / zone)}
        command = [sys.executable, "-c", IN_A_TIMEZONE]
        running.append(
            subprocess.Popen(
                command, env=environ, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
            )
        )
    here = digest_of_runs()
    assert [process.communicate(timeout=300)[0].strip() for process in running] == [here] * 3
