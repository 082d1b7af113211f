"""Another process that writes a bundle: it waits, is killed, or runs out of disk.

Processes come from a fork server that has imported this module, which must not compute anything
on import: a process that has started Polars' threads cannot be forked.
"""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import polars as pl

from rustybt.data.bundles import _locks, identity, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import BundleLockedError
from tests.fakes import FrameSource
from tests.frames import sessions, walk

_FORKS = multiprocessing.get_context("forkserver")
#: What Python reports when it touches the file system.
_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree")


@cache
def old() -> pl.DataFrame:
    """Bars of the version that was there before."""
    return walk(["A", "B"], sessions("2020-01-02", "2020-02-28"))


@cache
def new() -> pl.DataFrame:
    """Bars of the version that is written."""
    return walk(["A", "B", "C"], sessions("2020-01-02", "2020-06-30"), seed=1)


@cache
def sparse() -> pl.DataFrame:
    """Few bars far apart: small Parquet files, and a panel of three megabytes."""
    days = sessions("2001-01-02", "2020-12-31")
    return walk([f"S{number}" for number in range(15)], [days[0], days[-1]])


def start(work: Callable[..., None], root: Path, *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Run one of the functions below in another process; what it says comes out of the pipe."""
    _FORKS.set_forkserver_preload([__name__])
    ours, theirs = _FORKS.Pipe()
    process = _FORKS.Process(target=work, args=(str(root), theirs, *arguments))
    process.start()
    theirs.close()
    return process, ours


def _ingest(root: str, bars: pl.DataFrame, **options: Any) -> None:
    ingest(FrameSource(bars), "b", environ={"ZIPLINE_ROOT": root}, **options)


def hold(root: str, pipe: Connection) -> None:
    """Say that the bundle is being written, and go on when told."""

    def wait(done: int, total: int, doing: str) -> None:
        pipe.send("writing")
        pipe.recv()

    _ingest(root, new(), progress=wait)


def claim(root: str, pipe: Connection) -> None:
    """Say whether the file that names a bundle's writer is this process's, without any lock."""
    file = Path(root, "rustybt", ".locks", "b.holder")
    pipe.send("ready")
    pipe.recv()
    try:
        with _locks._claimed(file, "'b' is being written"):
            pipe.send("mine")
            pipe.recv()
    except BundleLockedError:
        pipe.send("held")
        pipe.recv()


def count(root: str, pipe: Connection, fatal: int | None = None) -> None:
    """Say how many steps on the file system an ingest takes, or be killed at one of them."""
    bars = new()
    taken = _count_steps(root, fatal)
    _ingest(root, bars)
    pipe.send(len(taken))


class OneByOne(FrameSource):
    """A source that is asked symbol by symbol."""

    batch_size = 1

    def __init__(self, bars: pl.DataFrame) -> None:
        super().__init__(bars)
        self.asked: list[str] = []

    async def fetch(self, symbols: list[str], *request: Any) -> pl.DataFrame:
        self.asked += symbols
        return await super().fetch(symbols, *request)


def count_one_by_one(root: str, pipe: Connection, fatal: int | None = None) -> None:
    """As `count`, symbol by symbol."""
    source = OneByOne(new())
    taken = _count_steps(root, fatal)
    ingest(source, "b", environ={"ZIPLINE_ROOT": root})
    pipe.send(len(taken))


def write_in_place(root: str, pipe: Connection, fatal: int | None = None) -> None:
    """As `count`, for a version that is written where it will lie."""
    taken = _count_steps(root, fatal)
    with storage.new_version("b", environ={"ZIPLINE_ROOT": root}, in_place=True) as draft:
        identity.save(identity.load(draft.parent), draft.path)
        (draft.path / "stores").mkdir()
        (draft.path / "stores" / "file").write_text("content")
    pipe.send(len(taken))


def _count_steps(root: str, fatal: int | None) -> list[str]:
    """A list that grows with each step on a file below the root; one of them may be the last."""
    taken: list[str] = []

    def step(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and str(arguments[0]).startswith(root):
            if len(taken) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            taken.append(event)

    sys.addaudithook(step)
    return taken


def fill(root: str, pipe: Connection, largest_file: int = resource.RLIM_INFINITY) -> None:
    """Say which error an ingest ends with that has no room."""
    bars = sparse()
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    try:
        _ingest(root, bars)
    except OSError as error:
        pipe.send((type(error), error.errno))
    else:
        pipe.send("done")
