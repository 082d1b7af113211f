"""Converting bundles of zipline's own format."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zipline.data.bcolz_daily_bars import BcolzDailyBarWriter
from zipline.data.bcolz_minute_bars import BcolzMinuteBarWriter
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.bundles import bundle_data
from rustybt.compat.convert import ConversionMismatchError, convert, convert_all
from rustybt.compat.export import export
from rustybt.data.bundles import open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.errors import UnknownBundleError
from tests import frames
from tests.compat import stock
from tests.compat.bcolz_root import (
    DAILY,
    MINUTE,
    MOMENT,
    Content,
    daily,
    everything,
    fingerprint,
    frame,
    load,
    minute,
    minutes,
    sessions,
)
from tests.fakes import FrameSource

SPLITS = pd.DataFrame({"sid": [1], "effective_date": [pd.Timestamp("2020-11-20")], "ratio": [0.25]})
DIVIDENDS = pd.DataFrame(
    {
        "sid": [0, 1],
        "ex_date": pd.to_datetime(["2020-11-24", "2020-12-01"]),
        "amount": [0.375, 1.5],
        "declared_date": pd.NaT,
        "record_date": pd.NaT,
        "pay_date": pd.to_datetime(["2020-12-01", "2020-12-08"]),
    }
)


def zeroed(bars, *rows):
    """Bars of which some rows are of zeros."""
    bars.iloc[list(rows)] = 0
    return bars


def in_calendar(name, **kind):
    """Daily and minute bars of two sids on a market's calendar."""
    span = {"first": "2020-11-16", "last": "2020-11-18", "calendar": name}
    return {"calendar": name, "daily": daily(0, 3, **span), "minute": minute(0, 3, **span), **kind}


HONG_KONG = in_calendar("XHKG", start="2020-11-02", end="2020-11-30", minutes_per_day=390)
CONTENTS = {
    "half days": Content(daily(0, 1, 7), minute(0, 7)),
    "events": Content(daily(0, 1), splits=SPLITS, dividends=DIVIDENDS),
    "rows of zeros at the ends of a life": Content({4: zeroed(daily(4)[4], 0, 1, -2, -1)}),
    "a life without a trade": Content({0: daily(0)[0], 4: daily(4)[4] * 0}),
    "breaks": Content(**HONG_KONG),
    "round the clock": Content(**in_calendar("24/7", minutes_per_day=1440)),
    "sessions shorter than their room": Content(**in_calendar("CMES", minutes_per_day=1440)),
    "all sessions of the calendar": Content(daily(0), minute(0), start=None, end=None),
    "minutes only": Content(minute=minute(0, 7)),
    "neither": Content(),
    "a file without minutes": Content(
        daily(0), minute(0), touch=lambda writer: writer.set_sid_attrs(1, factor=2)
    ),
}


@pytest.fixture
def root(zipline_root):
    zipline_root.mkdir()
    return zipline_root


@pytest.mark.parametrize("content", CONTENTS.values(), ids=list(CONTENTS))
def test_a_version_reads_as_the_ingestion_that_it_was_made_of(root, content):
    directory = content.ingest(root)
    before = fingerprint(root / "data")
    (result,) = convert("b")
    assert result.status == "converted"
    assert result.version.name == directory.name
    with load(directory) as theirs, bundle_data(open_bundle("b")) as ours:
        assert everything(ours, content) == everything(theirs, content)
    assert fingerprint(root / "data") == before


@pytest.mark.parametrize("name", ["half days", "breaks"])
def test_every_call_is_answered_as_by_zipline(root, name):
    content = CONTENTS[name]
    directory = content.ingest(root)
    convert("b")
    days = sessions("2020-11-10", "2020-11-30", content.calendar)
    instants = minutes("2020-11-16", "2020-11-30", content.calendar)[::97]
    with load(directory) as theirs, bundle_data(open_bundle("b")) as ours:
        for sid in content.sids:
            asset = theirs.asset_finder.retrieve_asset(sid)
            calls = [
                *(("daily", "get_value", sid, day, "close") for day in days),
                *(("daily", "get_last_traded_dt", sid, day) for day in days),
                *(("minute", "get_value", sid, instant, "volume") for instant in instants),
                *(("minute", "get_last_traded_dt", asset, instant) for instant in instants),
            ]
            for kind, call, *arguments in calls:
                readers = [getattr(each, f"equity_{kind}_bar_reader") for each in (theirs, ours)]
                answers = [stock.ask(getattr(each, call), *arguments) for each in readers]
                assert answers[0] == answers[1], (call, arguments)


def test_what_is_known_of_an_ingestion_is_known_of_its_version(root):
    CONTENTS["half days"].ingest(root, "my bundle")
    (result,) = convert("my bundle")
    record = open_bundle("my bundle").metadata
    assert record.precision == "bcolz"
    assert record.calendar == "XNYS"
    assert record.minutes_per_day == 390
    assert [str(edge.date()) for edge in record.bounds] == ["2020-10-01", "2020-12-31"]
    assert record.frequency == "1d,1m"
    assert (
        record.row_count
        == result.bars
        == 3 * len(sessions("2020-11-16", "2020-12-11"))
        + sum(len(bars) for bars in minute(0, 7).values())
    )
    assert record.source_config == {
        "converted_from": f"data/my bundle/{MOMENT.replace(' ', 'T').replace(':', ';')}"
    }


def test_every_ingestion_becomes_a_version_and_none_does_so_twice(root):
    moments = ["2024-01-02", "2024-01-01 00:00:00.5", "2024-01-03 12:00"]
    for step, moment in enumerate(moments):
        Content(daily(step)).ingest(root, moment=moment)
    first = convert("b")
    assert [result.status for result in first] == ["converted"] * 3
    versions = {version.path.name: version for version in storage.versions("b")}
    assert sorted(versions) == sorted(path.name for path in (root / "data" / "b").glob("20*"))
    assert [BundleMetadata.of(each).parent_version for each in storage.versions("b")] == [
        "2024-01-02T00;00;00", "2024-01-01T00;00;00.500000", None,
    ]  # fmt: skip
    before = fingerprint(root / "rustybt")
    assert [result.status for result in convert("b")] == ["present"] * 3
    assert fingerprint(root / "rustybt") == before


def test_an_ingestion_older_than_a_version_gets_its_place(root):
    bars = frames.walk(["S0"], frames.sessions("2020-11-16", "2020-11-20"))
    ingest(FrameSource(bars), "b", timestamp="2024-06-01")
    Content(daily(0)).ingest(root)
    convert("b")
    newest, converted = storage.versions("b")
    assert str(newest.timestamp)[:10] == "2024-06-01"
    assert BundleMetadata.of(converted).parent_version is None


def test_all_bundles_of_a_root(root):
    for name in ("x", "y & z", "w"):
        Content(daily(0)).ingest(root, name)
    (root / "data" / ".hidden" / "2020-01-01T00;00;00").mkdir(parents=True)
    results = convert_all()
    assert [result.bundle for result in results] == ["w", "x", "y & z"]
    assert all(result.ok for result in results)
    assert json.loads(json.dumps([result.to_dict() for result in results]))[0]["bundle"] == "w"


def test_a_root_without_bundles(root):
    assert convert_all() == []
    with pytest.raises(UnknownBundleError, match="there are: none"):
        convert("b")


def test_databases_are_copied_to_the_byte(root):
    directory = CONTENTS["events"].ingest(root)
    shutil.copy(directory / "assets-7.sqlite", directory / "assets-6.sqlite")
    (result,) = convert("b")
    for name in ("assets-7.sqlite", "assets-6.sqlite", "adjustments.sqlite"):
        assert (result.version / name).read_bytes() == (directory / name).read_bytes()
    events = open_bundle("b").events
    assert events.splits["ratio"].to_list() == [0.25]
    assert events.dividends["amount"].to_list() == [0.375, 1.5]


def a_chunk(directory, part, field):
    return next((directory / part).rglob(f"{field}/data/__0.blp"))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-3])


def move_offset(path):
    attrs = json.loads(path.read_text())
    attrs["calendar_offset"] = {sid: place + 1 for sid, place in attrs["calendar_offset"].items()}
    path.write_text(json.dumps(attrs))


def execute(path, statement):
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def shift(path, edge, day):
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({**metadata, f"{edge}_session": str(day)[:10]}))


DAMAGES = {
    "it is empty": lambda d: [shutil.rmtree(d), d.mkdir()],
    "minute_equities.bcolz is missing": lambda d: shutil.rmtree(d / MINUTE),
    "adjustments.sqlite is missing": lambda d: (d / "adjustments.sqlite").unlink(),
    "close/data/__0.blp is damaged": lambda d: cut_short(a_chunk(d, DAILY, "close")),
    "high/data/__0.blp is damaged": lambda d: a_chunk(d, MINUTE, "high").write_text(""),
    "chunkfile .* not found": lambda d: a_chunk(d, MINUTE, "low").unlink(),
    "cannot be read: OSError": lambda d: (d / DAILY / "__attrs__").write_text("{"),
    "JSONDecodeError": lambda d: (d / MINUTE / "metadata.json").write_text(""),
    "KeyError: 'ohlc_ratio'": lambda d: (d / MINUTE / "metadata.json").write_text("{}"),
    "not a database": lambda d: (d / "assets-7.sqlite").write_bytes(bytes(5000)),
    "no such table": lambda d: execute(d / "adjustments.sqlite", "DROP TABLE splits"),
    "no assets of assets-7.sqlite": lambda d: execute(
        d / "assets-7.sqlite", "DELETE FROM asset_router"
    ),
    "was not closed": lambda d: (d / "adjustments.sqlite-journal").touch(),
    "not named by an ingest time": lambda d: d.rename(d.with_name("somewhen")),
    "the calendar has changed since": lambda d: move_offset(d / DAILY / "__attrs__"),
    "one calendar and one range": lambda d: shift(
        d / MINUTE / "metadata.json", "end", "2020-12-30"
    ),
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """What became of a bundle of which all ingestions but the last are damaged, and its files."""
    root = tmp_path_factory.mktemp("damaged")
    sound = Content(daily(0), minute(0)).ingest(root, moment="2024-02-01")
    for day, damage in enumerate(DAMAGES.values(), start=1):
        doomed = sound.with_name(f"2024-01-{day:02d}T00;00;00")
        shutil.copytree(sound, doomed)
        damage(doomed)
    before = fingerprint(root / "data")
    results = convert("b", {"ZIPLINE_ROOT": str(root)})
    assert fingerprint(root / "data") == before
    return root, results


@pytest.mark.parametrize("reason", DAMAGES)
def test_a_damaged_ingestion_is_reported(damaged, reason):
    _, results = damaged
    found = [result for result in results if re.search(reason, result.reason)]
    assert [(result.status, result.version) for result in found] == [("failed", None)]


def test_damaged_ingestions_do_not_stop_the_others(damaged):
    root, results = damaged
    (done,) = [result for result in results if result.ok]
    assert (done.status, done.ingestion.name) == ("converted", "2024-02-01T00;00;00")
    assert [path.name for path in (root / "rustybt" / "b").iterdir()] == [done.version.name]


REFUSALS = {
    "in 1 minutes in which the market has a break, the first at 2020-11-16T04:30 UTC": Content(
        **{
            **HONG_KONG,
            "minute": {0: frame(pd.DatetimeIndex(["2020-11-16 04:30"], tz="UTC"), gaps=0)},
        }
    ),
    "room for 390 minutes a session, and sessions of 24/7 have up to 1440": Content(
        calendar="24/7", minute={0: frame(minutes("2020-11-16", "2020-11-16", "24/7")[:300])}
    ),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_a_version_cannot_hold_is_refused(root, reason):
    REFUSALS[reason].ingest(root)
    (result,) = convert("b")
    assert not result.ok
    assert reason in result.reason
    assert storage.list_bundles() == []


def test_a_version_of_the_same_time_that_is_another_is_left_alone(root):
    bars = frames.walk(["S0"], frames.sessions("2020-11-16", "2020-11-20"))
    ingest(FrameSource(bars), "b", timestamp=MOMENT)
    Content(daily(0)).ingest(root)
    before = fingerprint(root / "rustybt")
    (result,) = convert("b")
    assert not result.ok
    assert "has its time and was not made of it" in result.reason
    assert fingerprint(root / "rustybt") == before


def test_a_damaged_version_does_not_count_as_converted(root):
    Content(daily(0)).ingest(root)
    (result,) = convert("b")
    next(result.version.glob("daily/*.parquet")).write_bytes(b"")
    (again,) = convert("b")
    assert not again.ok
    assert "its version is damaged" in again.reason
    assert str(result.version) in again.reason


def test_other_bits_are_not_published(root):
    Content(daily(0), minute(0)).ingest(root, moment="2024-01-02")
    Content(daily(1)).ingest(root, moment="2024-01-01")

    def spoil(done, total, label):
        """Change a price in the draft, when its daily bars have been compared."""
        if label == "b: compare daily bars":
            for path in root.glob("rustybt/b/.tmp-2024-01-02*/panel/minute/close.npy"):
                closes = np.load(path, mmap_mode="r+")
                row = np.flatnonzero(~np.isnan(closes[:, 0]))[5]
                closes[row, 0] = np.nextafter(closes[row, 0], 0)
                closes.flush()

    with pytest.raises(ConversionMismatchError, match=r"close of sid 0 at 2020-11-25 14:\d\d") as e:
        convert("b", progress=spoil)
    assert [result.status for result in e.value.results] == ["converted", "failed"]
    assert [version.path.name for version in storage.versions("b")] == ["2024-01-01T00;00;00"]


#: Converts a bundle in processes that are killed, each at a step.
KILLED = """
import os, signal, sys
from rustybt.compat.convert import convert

def killed_at(step):
    convert("b", progress=lambda done, total, label:
            os.kill(os.getpid(), signal.SIGKILL) if step in label else None)

for step in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        killed_at(step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, step
    published = [n for n in os.listdir(os.environ["ZIPLINE_ROOT"] + "/rustybt/b") if n[0] != "."]
    assert published == [], step
"""


def test_a_killed_conversion_leaves_nothing_half(root):
    Content(daily(0), minute(0)).ingest(root)
    before = fingerprint(root / "data")
    steps = ["read minute", "write Parquet", "compare daily", "compare minute"]
    subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, *steps], check=True)
    assert storage.list_bundles() == []
    assert fingerprint(root / "data") == before
    (result,) = convert("b")
    assert result.status == "converted"
    assert [path.name for path in (root / "rustybt" / "b").iterdir()] == [result.version.name]


def test_progress_counts_to_the_end(root):
    Content(daily(0, 1), minute(0)).ingest(root)
    seen = []
    convert("b", progress=lambda *step: seen.append(step))
    assert [done for done, _, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total, _ in seen} == {len(seen)}
    assert {label for _, _, label in seen} == {
        "b: read daily bars", "b: read minute bars", "b: write Parquet", "b: compare daily bars",
        "b: compare minute bars",
    }  # fmt: skip


def test_prices_that_are_not_in_thousandths_keep_their_bits(root):
    content = Content(daily(0), minute(0, 7, 8))
    directory = content.ingest(root)
    shutil.rmtree(directory / MINUTE)
    (directory / MINUTE).mkdir()
    calendar = get_calendar("XNYS")
    bounds = [pd.Timestamp(edge) for edge in (content.start, content.end)]
    ratios = {7: 100, 8: 7}
    own = {"default_ohlc_ratio": 100_000, "ohlc_ratios_per_sid": ratios}
    writer = BcolzMinuteBarWriter(str(directory / MINUTE), calendar, *bounds, 390, **own)
    writer.write((sid, bars.copy() * 1.23456) for sid, bars in content.minute.items())

    (result,) = convert("b")
    bundle = open_bundle("b")
    assert bundle.metadata.ohlc_ratios == {0: 100_000, 7: 100, 8: 7}
    with load(directory) as theirs, bundle_data(bundle) as ours:
        expected = everything(theirs, content)["minute"]
        assert everything(ours, content)["minute"] == expected
    shutil.rmtree(result.version / "panel")
    with bundle_data(open_bundle("b")) as rebuilt:
        assert everything(rebuilt, content)["minute"] == expected
    exported = export(bundle, "bcolz", root / "out")
    with load(exported.path) as again:
        assert everything(again, content)["minute"] == expected
    seen = bundle.to_polars(["S8"], kind="minute")["close"].to_numpy()
    closes = theirs.equity_minute_bar_reader.load_raw_arrays(
        ["close"],
        minutes("2020-11-25", "2020-11-25")[0],
        minutes("2020-11-30", "2020-11-30")[-1],
        [8],
    )[0]
    assert np.array_equal(seen[~np.isnan(seen)], closes[~np.isnan(closes)])


def test_sids_with_attributes_are_named(root):
    touched = replace(CONTENTS["half days"], touch=lambda w: w.set_sid_attrs(7, factor=0.5))
    touched.ingest(root)
    (result,) = convert("b")
    (note,) = result.notes
    assert note.startswith("1 sids (7) have attributes of BcolzMinuteBarWriter.set_sid_attrs")
    assert open_bundle("b").metadata.notes == list(result.notes)


UNITS = st.integers(0, 2**32 - 1) | st.integers(1, 200_000)


@st.composite
def contents(draw):
    """Small ingestions: any integers that zipline's format holds, lives and gaps anywhere."""
    days = sessions("2020-11-23", "2020-12-02")
    instants = minutes("2020-11-27", "2020-11-30")
    # One that is there from the first day on: see the test of bundles whose minutes begin earlier.
    found = {"daily": {3: draw(bars_at(days[:1], 2**32 - 1))}, "minute": {}}
    for sid in draw(st.sets(st.sampled_from([0, 1, 1234567]), max_size=2)):
        first = draw(st.integers(0, len(days) - 1))
        life = days[first : draw(st.integers(first + 1, len(days)))]
        found["daily"][sid] = draw(bars_at(life, 2**32 - 1))
    for sid in draw(st.sets(st.sampled_from([0, 1, 5]), max_size=2)):
        rows = sorted(draw(st.sets(st.integers(0, len(instants) - 1), min_size=1, max_size=8)))
        found["minute"][sid] = draw(bars_at(instants[rows], 2**32 - 2))
    return Content(**found)


@st.composite
def bars_at(draw, index, largest):
    size = len(index)
    values = st.lists(UNITS.map(lambda units: min(units, largest)), min_size=size, max_size=size)
    prices = {name: np.array(draw(values)) / 1000 for name in ("open", "high", "low", "close")}
    return pd.DataFrame({**prices, "volume": draw(values)}, index=index).astype({"volume": "int64"})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """An ingestion with the assets of `contents`, whose bars can be replaced."""
    return Content(daily(0, 1, 3, 5, 1234567)).ingest(tmp_path_factory.mktemp("template"))


@settings(max_examples=10)
@given(contents())
def test_there_and_back_again(template, content):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        directory = shutil.copytree(template, root / "data" / "b" / template.name)
        content.rewrite(directory)
        environ = {"ZIPLINE_ROOT": name}
        (result,) = convert("b", environ)
        assert result.ok, result.reason
        bundle = open_bundle("b", environ=environ)
        exported = export(bundle, "bcolz", root / "out")
        with load(directory) as theirs, load(exported.path) as again, bundle_data(bundle) as ours:
            expected = everything(theirs, content)
            assert everything(again, content) == expected
            found = everything(ours, content)
            assert [found.get(kind) for kind in ("daily", "minute")] == [
                expected.get(kind) for kind in ("daily", "minute")
            ]


def test_a_calendar_that_begins_after_the_ingestion_reaches_back(root):
    calendar = get_calendar("XLON", start="2004-01-05")
    content = Content(calendar="XLON", start="2010-01-04", end="2010-12-31", minutes_per_day=511)
    directory = content.ingest(root)
    shutil.rmtree(directory / DAILY)
    days = calendar.sessions_in_range("2004-01-05", "2004-03-01")
    bars = frame(days, gaps=0)
    writer = BcolzDailyBarWriter(str(directory / DAILY), calendar, days[0], days[-1])
    writer.write([(1, bars.copy())])
    for edge, day in (("start", days[0]), ("end", days[-1])):
        shift(directory / MINUTE / "metadata.json", edge, day)
    with load(directory) as theirs, pytest.raises(ValueError, match="cannot be earlier"):
        theirs.equity_daily_bar_reader.sessions  # noqa: B018

    (result,) = convert("b")
    assert result.ok, result.reason
    bundle = open_bundle("b")
    assert bundle.metadata.bounds == (days[0], days[-1])
    with bundle_data(bundle) as ours:
        (closes,) = ours.equity_daily_bar_reader.load_raw_arrays(["close"], days[0], days[-1], [1])
    assert np.array_equal(closes[:, 0], np.rint(bars["close"] * 1000) * 0.001)


def test_minutes_may_begin_before_daily_bars(root):
    Content(daily(0, first="2020-12-01"), minute(0)).ingest(root)
    assert [result.status for result in convert("b")] == ["converted"]
