"""What commands print: text, facts and tables for people, JSON for programs.

rich leaves colours and bars out where the output is no terminal, and honours NO_COLOR.
"""

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def stdout() -> Console:
    """The console of results."""
    return Console(highlight=False)


def stderr() -> Console:
    """The console of errors and progress."""
    return Console(stderr=True, highlight=False)


def say(text: str = "", style: str = "") -> None:
    """Print a line, which is never broken: it may be long, or meant to be copied."""
    stdout().print(Text(text, style=style), soft_wrap=True)


def heading(text: str) -> None:
    """Print a line above what belongs to it."""
    say(text, "bold")


def facts(rows: Mapping[str, object] | Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns; a value of None is left out.

    Lines are left to the terminal to break, so that a path can be copied.
    """
    pairs = rows.items() if isinstance(rows, Mapping) else rows
    known = [(name, str(value)) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        first, *rest = value.splitlines() or [""]
        text = Text.assemble("  ", (f"{name:<{width}}", "dim"), f"  {first}")
        stdout().print(text, soft_wrap=True)
        for line in rest:
            say(f"  {'':<{width}}  {line}")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> None:
    """Print a table that fits the terminal.

    Parameters
    ----------
    right : str
        Names of the columns that are set to the right, with blanks between.
    """
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in columns:
        is_right = name in right.split()
        drawn.add_column(
            name, justify="right" if is_right else "left", header_style="dim", overflow="fold"
        )
    for row in rows:
        drawn.add_row(*(Text("" if value is None else str(value)) for value in row))
    stdout().print(Padding(drawn, (0, 0, 0, 2), expand=False))


def next_commands(*commands: str, before: str = "") -> None:
    """Print commands of this program that the person may type next.

    Parameters
    ----------
    before : str
        A line of the shell to type first.
    """
    say()
    heading("Next")
    if before:
        say(f"  {before}")
    for command in commands:
        say(f"  {program()} {command}")


def program() -> str:
    """How this program is started: by its name, or by its path where the name is another's."""
    me = Path(sys.argv[0])
    if me.name == "__main__.py":
        return quoted(sys.executable, "-m", "rustybt")
    named = shutil.which("rustybt")
    if me.name != "rustybt" or (named and Path(named).samefile(me)):
        return "rustybt"
    return quoted(me)


def quoted(*words: object) -> str:
    """Words as a shell wants them typed."""
    return shlex.join(str(word) for word in words)


def print_json(value: object) -> None:
    """Print a value as JSON, dates in ISO 8601."""
    click.echo(json.dumps(value, indent=2, default=str, allow_nan=False))


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 bar``, ``3,270 bars``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def some(names: Sequence[object], most: int = 8) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


@contextmanager
def progress(text: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on stderr while the body runs; nothing where stderr is no terminal.

    Yields
    ------
    callable
        To be called with (done, in all, what is being done). Until then the bar only pulses.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = stderr()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}", style="dim", markup=False),
    )
    # Where only stderr is a terminal, rich would send what is printed to stdout there too.
    redirect = sys.stdout.isatty()
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=redirect,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(text, total=None, what="")

        def update(done: int, total: int, what: str = "") -> None:
            bar.update(task, completed=done, total=total, what=what)

        yield update


def number(value: Any, form: str = ",.2f") -> str | None:
    """A number as text; None, which `facts` leaves out, for one that is not finite."""
    from math import isfinite

    return format(value, form) if isinstance(value, (int, float)) and isfinite(value) else None
