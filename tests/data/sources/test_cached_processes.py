"""Many processes on one cache, killed and damaged under way, against a counting server."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from polars.testing import assert_frame_equal

from rustybt.data.errors import CacheWarning
from rustybt.data.sources.cached_source import CachedDataSource
from tests.data.sources.cache_worker import BARS, DAYS, SYMBOLS, LoopbackSource, inside

pytestmark = pytest.mark.slow
PROCESSES = 8


class CountingServer(ThreadingHTTPServer):
    """Serves bars; counts how often each bar's day was asked for, and calls back each time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.served: Counter[tuple[str, date]] = Counter()
        self.requests = 0
        self.lock = threading.Lock()
        self.on_request: Callable[[int], None] = lambda number: None


class Handler(BaseHTTPRequestHandler):
    server: CountingServer

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
        symbols = query["symbols"].split(",")
        first, last = (date.fromisoformat(query[name]) for name in ("first", "last"))
        with self.server.lock:
            self.server.requests += 1
            self.server.served.update((s, d) for s in symbols for d in DAYS if first <= d <= last)
            self.server.on_request(self.server.requests)
        bars = inside(symbols, first, last).to_dict(as_series=False)
        body = json.dumps({**bars, "timestamp": [str(day) for day in bars["timestamp"]]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[CountingServer]:
    with CountingServer() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def start(directory: Path, server: CountingServer, seed: int, *options: str) -> subprocess.Popen:
    module = [*options, "-m", "tests.data.sources.cache_worker"]
    arguments = [str(directory), str(server.server_port), str(seed), "200"]
    return subprocess.Popen(
        [sys.executable, *module, *arguments],
        cwd=Path(__file__).parents[3],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def everything(directory: Path, server: CountingServer):
    cached = CachedDataSource(LoopbackSource(server.server_port), directory)
    bars = asyncio.run(cached.fetch(list(SYMBOLS), DAYS[0], DAYS[-1], "1d"))
    cached.close()
    return bars


def test_each_bar_is_fetched_once(tmp_path, server):
    processes = [start(tmp_path, server, seed, "-W", "error") for seed in range(PROCESSES)]
    errors = [process.communicate(timeout=300)[1].decode() for process in processes]
    assert errors == [""] * PROCESSES
    assert max(server.served.values()) == 1
    before = server.served.total()
    assert_frame_equal(everything(tmp_path, server), BARS)
    assert max(server.served.values()) == 1, "an entry was lost"
    assert before > 0.9 * len(BARS)


def damage(path: Path, chance: random.Random) -> None:
    size = path.stat().st_size
    how = chance.choice(["cut", "flip", "delete"])
    if how == "delete" or not size:
        path.unlink()
    elif how == "cut":
        os.truncate(path, size // 2)
    else:
        with path.open("r+b") as file:
            file.seek(size // 2)
            byte = file.read(1)[0]
            file.seek(size // 2)
            file.write(bytes([byte ^ 16]))


def test_killed_processes_and_damaged_segments_change_no_answer(tmp_path, server):
    chance = random.Random(5)  # noqa: S311  no secret is made
    processes: list[subprocess.Popen] = []
    killed: list[subprocess.Popen] = []

    def interfere(number: int) -> None:
        """Called while a request is answered, so that kills hit a fetch or a write."""
        segments = sorted(tmp_path.rglob("segments/*/[!.]*.parquet"))
        if segments and number % 3 == 0:
            with suppress(FileNotFoundError):  # a process has put it away meanwhile
                damage(chance.choice(segments), chance)
        if number % 10 == 0 and len(killed) < PROCESSES // 2:
            killed.append(processes[len(killed)])
            killed[-1].kill()

    processes += [
        start(tmp_path, server, seed, "-W", "ignore::UserWarning") for seed in range(PROCESSES)
    ]
    server.on_request = interfere
    errors = [process.communicate(timeout=300)[1].decode() for process in processes]
    survivors = [process for process in processes if process not in killed]
    assert len(killed) == PROCESSES // 2
    assert [errors[processes.index(process)] for process in survivors] == [""] * len(survivors)
    assert {process.returncode for process in survivors} == {0}

    server.on_request = lambda number: None
    damage(sorted(tmp_path.rglob("segments/*/[!.]*.parquet"))[0], chance)
    with pytest.warns(CacheWarning):
        assert_frame_equal(everything(tmp_path, server), BARS)
    before = server.requests
    assert_frame_equal(everything(tmp_path, server), BARS)
    assert server.requests == before
