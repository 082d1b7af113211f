"""A small bundle, the processes that write and read it, and what they may find."""

import os
import random
import resource
import signal
import sys
from datetime import UTC, datetime
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import polars as pl

from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import BundleLockedError, CorruptVersionError
from tests.data.bundles.writer import OneByOne
from tests.frames import sessions, splits, walk

DAYS = sessions("2019-11-01", "2020-02-28")
SYMBOLS = [f"S{number}" for number in range(6)]
EVENTS = splits(("S1", "2020-02-03", 0.5))
NOBODY = 65_534
#: What Python reports when it touches the file system.
_STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate")


@cache
def bars() -> pl.DataFrame:
    """All that the source has."""
    return walk(SYMBOLS, DAYS)


def known_on(day: int) -> pl.DataFrame:
    """What the source has on the evening of a session."""
    return bars().filter(pl.col("timestamp") <= DAYS[day])


def source_on(day: int) -> OneByOne:
    """The source on the evening of a session."""
    return OneByOne(known_on(day))


def write(root: str, work: str, day: int) -> None:
    """Ingest or update the bundle ``b`` on the evening of a session."""
    evening = datetime.combine(DAYS[day], datetime.min.time(), UTC).replace(hour=23)
    ingest(
        source_on(day),
        "b",
        update=work == "update",
        environ={"ZIPLINE_ROOT": root},
        clock=lambda: evening,
    )


def write_or_die(root: str, pipe: Connection, work: str, day: int, fatal: int | None) -> None:
    """Write; be killed at a step on the file system, if one is named; say how many there were."""
    known_on(day)
    taken = [0]

    def step(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _STEPS and str(arguments[0]).startswith(root):
            if taken[0] == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            taken[0] += 1

    sys.addaudithook(step)
    try:
        write(root, work, day)
    except BundleLockedError:
        pipe.send("locked")
    else:
        pipe.send(taken[0])


def write_without_room(root: str, pipe: Connection, work: str, day: int, limit: int) -> None:
    """Write where no file may grow beyond a limit; say which error came of it."""
    known_on(day)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    _say_outcome(root, pipe, work, day)


def write_in_a_full_place(root: str, pipe: Connection, work: str, day: int) -> None:
    """Write where the disk is full; say which error came of it."""
    _say_outcome(root, pipe, work, day)


def write_as_nobody(root: str, pipe: Connection, work: str, day: int) -> None:
    """Write as a user who may only read; say which error came of it."""
    known_on(day)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    _say_outcome(root, pipe, work, day)


def _say_outcome(root: str, pipe: Connection, work: str, day: int) -> None:
    try:
        write(root, work, day)
    except OSError as error:
        pipe.send(f"{type(error).__name__}: {error}")
    else:
        pipe.send("done")


def read_on(root: str, pipe: Connection, seed: int) -> None:
    """Read the newest version again and again; say what was wrong, and how often it was read."""
    environ = {"ZIPLINE_ROOT": root}
    chooser = random.Random(seed)
    wrong: list[str] = []
    reads = 0
    while not pipe.poll(chooser.uniform(0.01, 0.05)):
        reads += 1
        try:
            found = open_bundle("b", environ=environ)
            frame = found.bars()
            panel = found.panel("daily").values["close"]
        except (CorruptVersionError, OSError) as error:
            if (found_gone := Path(root, "rustybt", "b")).exists():
                wrong.append(f"{error} ({found_gone})")
            continue
        wrong += what_is_wrong(frame, panel)
    pipe.send((reads, wrong))


def what_is_wrong(frame: pl.DataFrame, panel: Any) -> list[str]:
    """Whether bars and panel are those of one whole version."""
    last = frame["timestamp"].max()
    whole = bars().filter(pl.col("timestamp") <= last)
    if not frame.equals(whole):
        return [f"the bars up to {last} are not whole: {len(frame)} of {len(whole)}"]
    if panel.shape != (whole["timestamp"].n_unique(), len(SYMBOLS)):
        return [f"the panel of the version up to {last} has shape {panel.shape}"]
    return []
