import os
import subprocess
import sys
from collections.abc import Callable

from click.testing import Result

from tests.frames import sessions

Invoke = Callable[..., Result]

SESSIONS = [str(day) for day in sessions("2020-01-02", "2020-02-28")]
HEADER = "date,open,high,low,close,volume"


def bar(session: str, close: float = 20.0) -> str:
    return f"{session},{close - 1},{close + 2},{close - 2},{close},1000000"


def rows(first_close: float = 20.0) -> list[str]:
    """A header and one bar a session, the close going up by a quarter each day."""
    return [HEADER, *(bar(day, first_close + i / 4) for i, day in enumerate(SESSIONS))]


def rustybt(*args: object, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, its output piped."""
    return subprocess.run(
        [sys.executable, "-m", "rustybt", *map(str, args)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
