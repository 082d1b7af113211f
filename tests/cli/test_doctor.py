"""What the doctor finds, and that it changes nothing."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.helpers import Invoke
from tests.data.bundles import writer

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
    assert "1 bundles" in done.stdout


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_root_that_cannot_be_written_to_is_wrong(invoke: Invoke, zipline_root: Path) -> None:
    zipline_root.mkdir()
    zipline_root.chmod(0o500)
    assert checks(invoke)["root"][0] == "wrong"
