"""What the doctor finds, and that it changes nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from rustybt.data.bundles.ingest import ingest
from tests.cli.helpers import Invoke
from tests.data.bundles import writer
from tests.fakes import FrameSource
from tests.frames import sessions, walk

ALGORITHM = """
from zipline.api import symbol, symbols, set_benchmark

def initialize(context):
    set_benchmark(symbol("AAA"))
    context.assets = symbols("AAA", "BBB")

def handle_data(context, data):
    data.history(context.assets, "close", 5, "1d")
"""


def checks(invoke: Invoke, *options: object) -> dict[str, tuple[str, str]]:
    done = invoke("doctor", "--json", *options)
    return {each["name"]: (each["state"], each["text"]) for each in json.loads(done.stdout)}


def test_a_sound_place_has_nothing_wrong(invoke: Invoke, bundle: str) -> None:
    done = invoke("doctor")
    assert done.exit_code == 0, done.output
    assert "1 bundle" in done.stdout


def test_keys_are_said_to_be_there_and_never_shown(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", "secret-of-mine")
    assert "secret-of-mine" not in invoke("doctor", "--json").stdout


def test_a_damaged_bundle_is_wrong(invoke: Invoke, bundle: str, version: Path) -> None:
    (version / "assets.parquet").unlink()
    done = invoke("doctor")
    assert done.exit_code == 1
    assert "small damaged" in done.stdout


def test_leftovers_and_stale_locks_of_a_killed_writer_are_said(
    invoke: Invoke, zipline_root: Path
) -> None:
    process, pipe = writer.start(writer.hold, zipline_root)
    assert pipe.recv() == "writing"
    process.kill()
    process.join()
    found = checks(invoke)
    assert "stale" in found["lock"][1]
    assert "was killed" in found["leftover"][1]
    assert "interrupted after" in found["interrupted"][1]


def test_an_algorithm_that_fits_is_said_to(invoke: Invoke, bundle: str) -> None:
    Path("algo.py").write_text(ALGORITHM)
    found = checks(invoke, "-f", "algo.py", "-b", bundle, "-s", "2020-01-10", "-e", "2020-02-28")
    assert {found[name][0] for name in ("symbols", "benchmark", "warm-up")} == {"good"}


@pytest.mark.parametrize(
    ("change", "dates", "name"),
    [
        (("BBB", "ZZZ"), (), "symbols"),
        (('symbol("AAA"))', 'symbol("SPY"))'), (), "benchmark"),
        (("5,", "200,"), ("-s", "2020-01-10"), "warm-up"),
        (("", ""), ("-s", "2019-01-10"), "dates"),
        (("", ""), ("-e", "2029-01-10"), "dates"),
    ],
)
def test_what_does_not_fit_is_wrong(
    invoke: Invoke, bundle: str, change: tuple[str, str], dates: tuple[str, ...], name: str
) -> None:
    Path("algo.py").write_text(ALGORITHM.replace(*change) if change[0] else ALGORITHM)
    done = invoke("doctor", "-f", "algo.py", "-b", bundle, *dates, "--json")
    assert done.exit_code == 1
    wrong = {each["name"] for each in json.loads(done.stdout) if each["state"] == "wrong"}
    assert wrong == {name}


def test_names_that_are_given_a_constant_once_are_known(invoke: Invoke, bundle: str) -> None:
    text = ALGORITHM.replace('"AAA", "BBB"', "*STOCKS").replace("5,", "context.window,")
    again = "\ndef again(context):\n    context.assets = symbols(*context.chosen)\n"
    text += 'STOCKS = ["AAA", "ZZZ"]\n' + again
    text = text.replace(
        "def initialize(context):", "def initialize(context):\n    context.window = 200"
    )
    Path("algo.py").write_text(text)
    found = checks(invoke, "-f", "algo.py", "-b", bundle, "-s", "2020-01-10")
    assert found["symbols"] == ("wrong", "not in the bundle: ZZZ")
    assert found["warm-up"][1].startswith("windows reach back 200 sessions")
    assert found["unknown"][0] == "note"


def test_without_dates_the_first_day_with_whole_windows_is_told(
    invoke: Invoke, bundle: str
) -> None:
    Path("algo.py").write_text(ALGORITHM)
    found = checks(invoke, "-f", "algo.py", "-b", bundle)
    assert found["warm-up"] == (
        "note",
        "windows reach back 5 sessions: they are whole in runs from 2020-01-08 on",
    )


def test_a_benchmark_that_ended_and_minutes_that_are_not_there_are_wrong(
    invoke: Invoke, root: Path
) -> None:
    bars = walk(["AAA", "BBB"], sessions("2020-01-02", "2020-02-28"))
    short = bars.filter((pl.col("symbol") == "BBB") | (pl.col("timestamp") < date(2020, 2, 3)))
    ingest(FrameSource(short), "b")
    Path("algo.py").write_text(ALGORITHM.replace('"1d"', '"1m"'))
    found = checks(invoke, "-f", "algo.py", "-b", "b", "-s", "2020-02-04", "-e", "2020-02-28")
    assert (
        found["benchmark"][1] == "AAA has bars from 2020-01-02 to 2020-01-31, not for the whole run"
    )
    assert found["frequency"][0] == "wrong"
    assert found["dates"][0] == "good"


@pytest.mark.parametrize("text", ["def initialize(:", "\ud800"])
def test_a_file_that_is_no_algorithm_is_said(invoke: Invoke, bundle: str, text: str) -> None:
    Path("algo.py").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert checks(invoke, "-f", "algo.py", "-b", bundle)["algorithm"][0] == "wrong"


def test_a_bundle_that_is_not_there_or_damaged_is_one_check_of_many(
    invoke: Invoke, bundle: str, version: Path
) -> None:
    assert checks(invoke, "-b", "nope")["bundle"][0] == "wrong"
    (version / "assets.parquet").unlink()
    found = checks(invoke, "-b", bundle)
    assert "rustybt bundles repair" in found["bundle"][1]
    assert "calendars" in found or "bundles" in found


def as_nobody(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the doctor as a user who owns nothing; root may write anywhere."""
    drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    command = [sys.executable, "-m", "rustybt", "doctor", "--json", *words]
    return subprocess.run(
        [*(drop if os.geteuid() == 0 else []), *command],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv, of util-linux")
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_root_that_cannot_be_used_is_wrong(mode: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        root = Path(directory) / "root"
        (root / "rustybt" / "b").mkdir(parents=True)
        (root / "rustybt").chmod(mode)
        done = as_nobody(ZIPLINE_ROOT=str(root), HOME=directory, PYTHONDONTWRITEBYTECODE="1")
        (root / "rustybt").chmod(0o755)
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["root"]["state"] == "wrong"
    assert "annot be" in found["root"]["text"]
