"""Everything that a person may get wrong: a clear message, an exit code, and nothing lost."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.helpers import HEADER, SESSIONS, Invoke, bar, rows

Edit = Callable[[list[str]], list[str]]


def _replaced(old: str, new: str) -> Edit:
    return lambda table: [*table[:3], table[3].replace(old, new), *table[4:]]


def _without_close(table: list[str]) -> list[str]:
    return [",".join(line.split(",")[:4] + line.split(",")[5:]) for line in table]


_THIRD = rf"AAA\.csv, row 4: AAA {SESSIONS[2]}"

#: Case -> (what happens to AAA.csv, what the message says of it).
BAD_FILES: dict[str, tuple[Edit, str]] = {
    "empty file": (lambda _: [], r"AAA\.csv is empty"),
    "only a header": (lambda table: table[:1], r"AAA\.csv has a header and no rows"),
    "missing column": (_without_close, r"no column for close in AAA\.csv"),
    "text in a price": (_replaced(",20.5,", ",n/a-ish,"), r"AAA\.csv, row 4"),
    "negative price": (_replaced(",18.5,", ",-18.5,"), _THIRD),
    "zero price": (_replaced(",18.5,", ",0,"), _THIRD),
    "high below low": (_replaced(",22.5,", ",10,"), _THIRD),
    "duplicate rows": (lambda table: [*table, table[-1]], rf"{SESSIONS[-1]}: more than one bar"),
    "a date off the calendar": (
        lambda table: [*table, bar("2020-02-29")],
        "AAA 2020-02-29: not a session of calendar XNYS",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_and_the_version_before_stays(
    invoke: Invoke, bundle: str, version: Path, prices: Path, case: str
) -> None:
    edit, message = BAD_FILES[case]
    file = prices / "AAA.csv"
    file.write_text("\n".join(edit(file.read_text().splitlines())))
    done = invoke("ingest", "csv", prices, "--bundle", bundle, "--symbols", "AAA")
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.match("Error: ", done.stderr)
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    _only_version_is(invoke, bundle, version)


def _only_version_is(invoke: Invoke, bundle: str, version: Path) -> None:
    assert list(version.parent.iterdir()) == [version]
    assert invoke("quality", bundle).exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--symbols", "NOPE"], "no symbol NOPE"),
        (["--calendar", "NOPE"], "there is no calendar 'NOPE'"),
        (["--frequency", "1x"], "unknown frequency '1x'"),
        (["--start", "2020-02-03", "--end", "2020-01-03"], "2020-02-03 lies after end 2020-01-03"),
        (["--start", "2021-01-04", "--end", "2021-02-03"], "no bars of AAA, BBB"),
        (["--column", "close=Nope"], "'Nope'"),
    ],
)
def test_a_request_that_cannot_be_met_changes_nothing(
    invoke: Invoke, bundle: str, version: Path, prices: Path, args: list[str], message: str
) -> None:
    done = invoke("ingest", "csv", prices, "--bundle", bundle, *args)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    _only_version_is(invoke, bundle, version)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "a\\b"])
def test_a_bundle_name_that_leads_elsewhere_is_refused(
    invoke: Invoke, prices: Path, root: Path, name: str
) -> None:
    done = invoke("ingest", "csv", prices, "--bundle", name)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"Error: {name!r} cannot name a bundle" in done.stderr
    assert not (root / "rustybt").exists() or not any((root / "rustybt").iterdir())


def test_a_path_that_is_not_there_is_named(invoke: Invoke) -> None:
    done = invoke("ingest", "csv", "nowhere", "--bundle", "small")
    assert done.exit_code == 1
    assert "nowhere" in done.stderr


@pytest.mark.parametrize(
    "argument", [["--start", "soon"], ["--precision", "half"], ["--column", "x"]]
)
def test_an_argument_of_no_meaning_is_a_usage_error(
    invoke: Invoke, prices: Path, argument: list[str]
) -> None:
    assert invoke("ingest", "csv", prices, "--bundle", "small", *argument).exit_code == 2


def test_rows_in_any_order_are_accepted(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "AAA.csv"
    file.write_text("\n".join([HEADER, *reversed(rows()[1:])]))
    assert invoke("ingest", "csv", file, "--bundle", "small").exit_code == 0


def _remove(path: Path) -> None:
    path.unlink()


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(("damage", "what"), [(_remove, "is missing"), (_flip, "is damaged")])
@pytest.mark.parametrize(
    "command",
    [
        "bundles info {}",
        "quality {}",
        "run -t x=1 -b {} --start 2020-01-06 --end 2020-01-10",
    ],
)
def test_a_damaged_version_is_named_and_the_one_before_still_opens(
    invoke: Invoke,
    bundle: str,
    version: Path,
    prices: Path,
    damage: Callable[[Path], None],
    what: str,
    command: str,
) -> None:
    invoke("ingest", "csv", prices, "--bundle", bundle)
    newest = max(path for path in version.parent.iterdir() if not path.name.startswith("."))
    victim = next((newest / "daily").glob("*.parquet"))
    damage(victim)
    words = command.format(bundle).split()
    done = invoke(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {victim} {what}")
    before = version.name.replace(";", ":")
    assert invoke(*words, "--bundle-timestamp", before).exit_code == 0


def test_a_root_that_cannot_be_written_to_is_said(invoke: Invoke, prices: Path, root: Path) -> None:
    root.write_text("a file, not a folder")
    done = invoke("ingest", "csv", prices, "--bundle", "small")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {root}")
    assert "Not a directory" in done.stderr
