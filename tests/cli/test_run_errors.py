from pathlib import Path

import pytest

from tests.cli.helpers import Invoke

DATES = ("--start", "2020-01-03", "--end", "2020-02-14")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-t", "x = 1"], "--start"),
        (["-t", "x = 1", "--start", "2020-01-03"], "--end"),
        ([*DATES], "-f FILE or -t TEXT"),
        (["-t", "x = 1", "-f", "algorithm.py", *DATES], "-f FILE or -t TEXT"),
        (["-f", "nowhere.py", *DATES], "nowhere.py"),
        (["-t", "x = 1", "--start", "soon", "--end", "2020-02-14"], "'soon' is not a date"),
        (["-t", "x = 1", *DATES, "--no-benchmark", "--benchmark-sid", "1"], "give one of"),
        (["-t", "x = 1", *DATES, "--json", "-o", "-"], "--json and -o -"),
        (["-t", "x = 1", *DATES, "-o", "nowhere/perf.pickle"], "nowhere is not a folder"),
        (["-t", "x = 1", *DATES, "--report", "nowhere/out.html"], "nowhere is not a folder"),
        (["-t", "x = 1", *DATES, "--metrics-set", "nope"], "'nope'"),
        (["-t", "x = 1", *DATES, "--blotter", "nope"], "'nope'"),
        (["-t", "x = 1", *DATES, "-D", "a=b"], "name 'b' is not defined"),
        (["-t", "x = 1", *DATES, "-x", "novalue"], "novalue"),
    ],
)
def test_what_was_typed_wrongly_exits_with_2(
    invoke: Invoke, bundle: str, options: list[str], text: str
) -> None:
    Path("algorithm.py").write_text("x = 1")
    done = invoke("run", "-b", bundle, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert text in done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--start", "2019-01-02", "--end", "2020-01-10"],
            "has bars from 2020-01-02 to 2020-02-28",
        ),
        (
            ["--start", "2020-01-02", "--end", "2020-03-10"],
            "has bars from 2020-01-02 to 2020-02-28",
        ),
        (["--start", "2020-02-03", "--end", "2020-01-10"], "2020-02-03 lies after end 2020-01-10"),
        (["--start", "2020-01-04", "--end", "2020-01-05"], "no session from 2020-01-04"),
        ([*DATES, "--data-frequency", "minute"], "has no minute bars"),
        ([*DATES, "--bundle-timestamp", "2001-01-01"], "no version of 2001-01-01"),
        ([*DATES, "--benchmark-symbol", "NOPE"], "NOPE"),
        ([*DATES, "--benchmark-sid", "99"], "99"),
        ([*DATES, "--trading-calendar", "NOPE"], "there is no calendar 'NOPE'"),
        ([*DATES, "--capital-base", "0"], "greater than zero"),
    ],
)
def test_what_the_bundle_does_not_have_exits_with_1(
    invoke: Invoke, bundle: str, options: list[str], text: str
) -> None:
    done = invoke("run", "-t", "x = 1", "-b", bundle, *options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert text in done.stderr


def test_an_unknown_bundle_says_how_to_make_it(invoke: Invoke, bundle: str) -> None:
    done = invoke("run", "-t", "x = 1", "-b", "nope", *DATES)
    assert done.exit_code == 1
    assert "there is no bundle 'nope'" in done.stderr
    assert "rustybt ingest SOURCE --bundle nope" in done.stderr


FAILING = """
def helper():
    return 1 / 0

def handle_data(context, data):
    helper()
"""


def _failed(invoke: Invoke, bundle: str, text: str) -> list[str]:
    Path("failing.py").write_text(text)
    done = invoke("run", "-f", "failing.py", "-b", bundle, *DATES)
    assert (done.exit_code, done.stdout) == (1, "")
    return done.stderr.splitlines()


def test_an_error_in_the_algorithm_shows_its_own_frames_only(invoke: Invoke, bundle: str) -> None:
    shown = _failed(invoke, bundle, FAILING)
    assert [line.strip() for line in shown if line.startswith("  File")] == [
        'File "failing.py", line 6, in handle_data',
        'File "failing.py", line 3, in helper',
    ]
    assert shown[-1] == "ZeroDivisionError: division by zero"


def test_an_error_of_zipline_points_at_the_line_that_asked(invoke: Invoke, bundle: str) -> None:
    text = "from zipline.api import symbol\ndef initialize(context):\n    symbol('NOPE')\n"
    shown = _failed(invoke, bundle, text)
    files = {line.split('"')[1] for line in shown if line.startswith("  File")}
    assert files == {"failing.py"}
    assert shown[-1] == "zipline.errors.SymbolNotFound: Symbol 'NOPE' was not found."


def test_a_chain_of_errors_is_kept(invoke: Invoke, bundle: str) -> None:
    text = (
        "def handle_data(context, data):\n"
        "    try:\n        1 / 0\n"
        "    except ZeroDivisionError as error:\n        raise ValueError('mine') from error\n"
    )
    shown = "\n".join(_failed(invoke, bundle, text))
    assert "ZeroDivisionError: division by zero" in shown
    assert "direct cause" in shown
    assert shown.endswith("ValueError: mine")


def test_text_that_is_no_python_shows_its_line(invoke: Invoke, bundle: str) -> None:
    shown = _failed(invoke, bundle, "def initialize(context):\n    return (\n")
    assert shown[0] == '  File "failing.py", line 2'
    assert shown[-1].startswith("SyntaxError")


def test_lines_of_an_algorithm_given_as_text_are_shown(invoke: Invoke, bundle: str) -> None:
    done = invoke("run", "-t", FAILING, "-b", bundle, *DATES)
    assert done.exit_code == 1
    assert "    return 1 / 0" in done.stderr


def test_nothing_is_written_when_the_algorithm_fails(invoke: Invoke, bundle: str) -> None:
    Path("perf.pickle").write_text("the one before")
    done = invoke("run", "-t", FAILING, "-b", bundle, *DATES, "-o", "perf.pickle")
    assert done.exit_code == 1
    assert Path("perf.pickle").read_text() == "the one before"


def test_a_full_disk_is_said(invoke: Invoke, bundle: str) -> None:
    done = invoke("run", "-t", "x = 1", "-b", bundle, *DATES, "-o", "/dev/full")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: /dev/full: No space left on device\n"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """An extension that cannot be loaded."""
    file = tmp_path / "broken.py"
    file.write_text("raise ValueError('in the extension')")
    return file


def test_an_error_that_nobody_foresaw_is_not_hidden(
    invoke: Invoke, bundle: str, broken: Path
) -> None:
    options = ("--extension", broken, "--strict-extensions")
    with pytest.raises(ValueError, match="in the extension"):
        invoke("run", "-t", "x = 1", "-b", bundle, *DATES, *options)


def test_an_extension_that_cannot_be_loaded_is_a_warning_otherwise(
    invoke: Invoke, bundle: str, broken: Path
) -> None:
    with pytest.warns(UserWarning, match="in the extension"):
        done = invoke("run", "-t", "x = 1", "-b", bundle, *DATES, "--extension", broken)
    assert done.exit_code == 0
