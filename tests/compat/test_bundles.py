"""zipline's bundle functions on versions: what is published, and what is left alone."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zipline.__main__ as zipline_command
from zipline.pipeline import Pipeline
from zipline.pipeline.data import EquityPricing
from zipline.utils.calendar_utils import get_calendar

import rustybt
from rustybt.compat import bundles, install
from rustybt.data.bundles import open_bundle, storage
from tests.fakes import FrameSource
from tests.frames import sessions, walk

SESSIONS = pd.DatetimeIndex(sessions("2021-01-04", "2021-01-29"))


def ingest_function(values: dict[str, float], then: Any = None) -> Any:
    """An ingest function as users of zipline write them: one asset, constant bars."""

    def ingest(
        environ: Any,
        asset_db_writer: Any,
        minute_bar_writer: Any,
        daily_bar_writer: Any,
        adjustment_writer: Any,
        calendar: Any,
        start_session: Any,
        end_session: Any,
        cache: Any,
        show_progress: Any,
        output_dir: Any,
    ) -> None:
        row = {"open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0, "volume": 100.0, **values}
        daily_bar_writer.write([(3, pd.DataFrame(row, index=SESSIONS))])
        equity = {
            "symbol": "AB",
            "start_date": SESSIONS[0],
            "end_date": SESSIONS[-1],
            "exchange": "NYSE",
        }
        asset_db_writer.write(
            equities=pd.DataFrame([equity], index=[3]),
            exchanges=pd.DataFrame(
                {"exchange": ["NYSE"], "canonical_name": ["NYSE"], "country_code": ["US"]}
            ),
        )
        if then is not None:
            then()
        adjustment_writer.write()

    return ingest


def test_events_that_are_written_in_several_calls_are_all_there() -> None:
    days = SESSIONS[[3, 7]]
    dates = dict.fromkeys(("ex_date", "declared_date", "record_date", "pay_date"), days[0])
    function = ingest_function({})

    def ingest(*arguments: Any) -> None:
        adjustments = arguments[4]
        function(*arguments)  # which writes empty tables
        for day in days:
            split = {"sid": [3], "effective_date": day, "ratio": 0.5}
            adjustments.write(splits=pd.DataFrame(split))
        adjustments.write(dividends=pd.DataFrame({"sid": [3], **dates, "amount": 0.25}))

    register("b", ingest)
    bundles.ingest("b")
    events = open_bundle("b").events
    assert events.splits.rows() == [("AB", day.date(), 0.5) for day in days]
    assert events.dividends["amount"].to_list() == [0.25]
    assert events.dividends["symbol"].to_list() == ["AB"]
    with bundles.load("b") as data:  # a run looks for numbers
        kinds = data.adjustment_reader.conn.execute("SELECT typeof(effective_date) FROM splits")
        assert set(kinds) == {("integer",)}


def register(name: str, function: Any) -> None:
    bundles.register(name, function, start_session=SESSIONS[0], end_session=SESSIONS[-1])


@pytest.fixture(autouse=True)
def _forget_bundles() -> Iterator[None]:
    before = set(bundles.bundles)
    yield
    for name in set(bundles.bundles) - before:
        bundles.unregister(name)


def close(name: str) -> float:
    with bundles.load(name) as data:
        return data.equity_daily_bar_reader.get_value(3, SESSIONS[5], "close")


def test_a_failed_ingest_leaves_the_one_before_loadable() -> None:
    register("b", ingest_function({"close": 9.5}))
    bundles.ingest("b")

    def hang_up() -> None:
        raise RuntimeError("the provider hung up")

    bundles.unregister("b")
    register("b", ingest_function({"close": 8.5}, hang_up))
    with pytest.raises(RuntimeError, match="hung up"):
        bundles.ingest("b")
    assert close("b") == 9.5
    assert len(bundles.ingestions_for_bundle("b")) == 1


def test_a_killed_ingest_leaves_the_one_before_loadable(zipline_root: Path) -> None:
    register("b", ingest_function({"close": 9.5}))
    bundles.ingest("b")
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.compat.test_bundles import bundles, ingest_function, register
        kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
        register("b", ingest_function({{"close": 8.5}}, kill))
        bundles.ingest("b")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -9
    assert close("b") == 9.5
    bundles.ingest("b")
    assert len(storage.versions("b")) == 2, "and the next one clears up and goes through"


@pytest.mark.parametrize(
    ("column", "value"),
    [("close", 1.234e-5), ("close", 150_000_000.0), ("volume", 0.7), ("volume", 4.5e12)],
)
def test_an_algorithm_sees_what_was_written(column: str, value: float) -> None:
    extremes = {"close": {"low": min(value, 10.0), "high": max(value, 10.0)}}.get(column, {})
    register("b", ingest_function({column: value, **extremes}))
    bundles.ingest("b")
    seen: dict[str, float] = {}

    def initialize(context: Any) -> None:
        from zipline.api import attach_pipeline, symbol

        context.asset = symbol("AB")
        columns = {"seen": getattr(EquityPricing, column).latest}
        attach_pipeline(Pipeline(columns), "p")

    def handle_data(context: Any, data: Any) -> None:
        from zipline.api import pipeline_output

        seen["current"] = data.current(context.asset, column)
        seen["history"] = data.history(context.asset, column, 5, "1d").iloc[-1]
        seen["pipeline"] = pipeline_output("p")["seen"].iloc[0]

    rustybt.run_algorithm(
        start=SESSIONS[8],
        end=SESSIONS[10],
        initialize=initialize,
        handle_data=handle_data,
        capital_base=1e6,
        bundle="b",
    )
    assert seen == dict.fromkeys(("current", "history", "pipeline"), value)


def test_any_source_is_a_bundle() -> None:
    bars = walk(["A", "B"], sessions("2021-01-04", "2021-01-29"))
    bundles.register_source("s", FrameSource(bars), ["B"], "1d", calendar="XNYS")
    bundles.ingest("s")
    assert open_bundle("s").bars().equals(bars.filter(bars["symbol"] == "B"))
    with bundles.load("s") as data:
        assert [asset.symbol for asset in data.asset_finder.retrieve_all([0])] == ["B"]


def test_a_function_without_writers_writes_into_its_directory() -> None:
    told: list[str] = []

    def ingest(*arguments: Any) -> None:
        assert arguments[1:5] == (None, None, None, None)
        (Path(arguments[-1]) / "mine.txt").write_text("kept")
        told.append(arguments[-1])

    bundles.register("own", ingest, create_writers=False)
    bundles.ingest("own")
    assert (Path(told[0]) / "mine.txt").read_text() == "kept"
    assert len(bundles.ingestions_for_bundle("own")) == 1


@pytest.mark.parametrize("name", ["XLON", "NYSE"])
def test_a_function_gets_zipline_s_calendar_and_may_fill_all_of_it(name: str) -> None:
    def ingest(*arguments: Any) -> None:
        calendar, first, last = arguments[5:8]
        assert calendar.sessions.equals(get_calendar(name).sessions)
        assert (calendar.first_session, calendar.last_session) == (first, last)
        index, columns = calendar.sessions, ["open", "high", "low", "close", "volume"]
        arguments[3].write([(3, pd.DataFrame(10.0, index, columns))])
        equity = {"symbol": "AB", "start_date": first, "end_date": last, "exchange": "NYSE"}
        arguments[1].write(equities=pd.DataFrame([equity], index=[3]))
        arguments[4].write()

    bundles.register("whole", ingest, calendar_name=name)
    bundles.ingest("whole")
    with bundles.load("whole") as data:
        own = data.equity_daily_bar_reader.sessions
    assert own.equals(get_calendar(name).sessions)


def test_bars_of_an_asset_that_nobody_named_are_refused() -> None:
    def ingest(*arguments: Any) -> None:
        bars = pd.DataFrame(1.0, SESSIONS, ["open", "high", "low", "close", "volume"])
        arguments[3].write([(3, bars)])

    register("b", ingest)
    with pytest.raises(ValueError, match="sid 3"):
        bundles.ingest("b")
    assert storage.versions("b") == []


def test_the_cell_magic_reads_versions(zipline_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register("b", ingest_function({"close": 9.5}))
    bundles.ingest("b")
    install.enable()
    monkeypatch.setattr("zipline.utils.run_algo._loaded_extensions", set())
    cell = textwrap.dedent(
        """
        from zipline.api import record, symbol

        def initialize(context):
            context.asset = symbol("AB")

        def handle_data(context, data):
            record(seen=data.current(context.asset, "close"))
        """
    )
    # zipline looks for ingestions of before it was imported, unless told otherwise.
    try:
        perf = zipline_command.zipline_magic(
            "-b b -s 2021-01-12 -e 2021-01-20 --no-benchmark --bundle-timestamp 2100-01-01", cell
        )
    finally:
        install.deactivate()
    assert np.array_equal(perf["seen"], np.full(6, 9.5))
    assert not (zipline_root / "data").exists(), "zipline itself wrote nothing"
