"""A provider in a process of its own, so that its work is not counted as ours."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.sources.providers import ORIGINALS, Repeating
from rustybt.data.sources.testing import LoopbackServer


@dataclass(frozen=True)
class Served:
    """Requests, the bytes of their answers, and the seconds that these took to make."""

    requests: int
    sent: int
    busy: float


@dataclass(frozen=True)
class Remote:
    """A server in another process.

    Attributes
    ----------
    base_url : str
    """

    base_url: str
    _pipe: Connection

    def served(self) -> "Served":
        """What it has done until now."""
        self._pipe.send("served")
        served: Served = self._pipe.recv()
        return served


@contextmanager
def serving(name: str, pace: float | None = None, originals: int = ORIGINALS) -> Iterator[Remote]:
    """Serve a provider's format, at most `pace` answers a second; see `Repeating`."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(name, pace, originals, theirs), daemon=True)
    process.start()
    theirs.close()  # so that its end is seen here
    try:
        yield Remote(ours.recv(), ours)
    finally:
        ours.send("stop")
        process.join()


def _serve(name: str, pace: float | None, originals: int, pipe: Connection) -> None:
    provider = Repeating(name, pace, originals)
    with LoopbackServer(provider) as server:
        pipe.send(server.base_url)
        while pipe.recv() == "served":
            pipe.send(Served(len(server.calls), provider.sent, provider.busy))
