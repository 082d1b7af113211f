import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import Invoke, rustybt


def test_help_lists_every_command(invoke: Invoke) -> None:
    shown = invoke("--help")
    assert shown.exit_code == 0
    for name in ("demo", "ingest", "run", "bundles", "quality", "sources"):
        assert f"  {name} " in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "command",
    ["demo", "ingest", "ingest csv", "run", "bundles list", "bundles info", "quality",
     "sources list", "sources info"],
)  # fmt: skip
def test_every_command_has_help(invoke: Invoke, command: str) -> None:
    shown = invoke(*command.split(), "--help")
    assert shown.exit_code == 0
    assert "Usage:" in shown.stdout


def test_version_is_the_package_s(invoke: Invoke) -> None:
    from rustybt import __version__

    assert invoke("--version").stdout == f"rustybt {__version__}\n"


@pytest.mark.parametrize("args", [["nope"], ["run", "--nope"], ["bundles", "info"]])
def test_a_command_typed_wrongly_exits_with_2(invoke: Invoke, args: list[str]) -> None:
    done = invoke(*args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage:" in done.stderr


def _imported(*args: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rustybt", *args],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize("args", [("--help",), ("run", "--help"), ("ingest", "csv", "--help")])
def test_help_imports_no_library(root: Path, args: tuple[str, ...]) -> None:
    heavy = {"zipline", "pandas", "polars", "numpy", "pyarrow", "exchange_calendars", "rich"}
    assert not heavy & _imported(*args)


def test_listing_bundles_imports_neither_zipline_nor_calendars(root: Path, bundle: str) -> None:
    assert not {"zipline", "exchange_calendars"} & _imported("bundles", "list")


@pytest.mark.parametrize("args", [("bundles", "info", "small"), ("bundles", "info", "nope")])
def test_piped_output_has_no_escape_codes(bundle: str, args: tuple[str, ...]) -> None:
    done = rustybt(*args, TERM="xterm-256color")
    assert "\x1b" not in done.stdout + done.stderr


def _on_terminal(**environ: str) -> str:
    """What `bundles info nope` writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "rustybt", "bundles", "info", "nope"],
        env={**os.environ, "TERM": "xterm-256color", **environ},
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        text = os.read(ours, 10_000).decode()
    os.close(ours)
    assert process.returncode == 1
    return text


def test_a_terminal_gets_colours(root: Path) -> None:
    assert "\x1b[1;31mError:" in _on_terminal()


def test_no_color_is_respected(root: Path) -> None:
    assert "\x1b[1;31m" not in _on_terminal(NO_COLOR="1")


@pytest.mark.parametrize(
    "args", [("bundles", "list"), ("bundles", "info", "small"), ("quality", "small"),
             ("sources", "list"), ("sources", "info", "csv")],
)  # fmt: skip
def test_listings_fit_into_80_columns(invoke: Invoke, bundle: str, args: tuple[str, ...]) -> None:
    shown = invoke(*args).stdout
    unbroken = ("/", "sha256", "state=")  # for copying
    tables = [line for line in shown.splitlines() if not any(mark in line for mark in unbroken)]
    assert max(map(len, tables)) <= 80
