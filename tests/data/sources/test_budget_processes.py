"""Four processes, one of them killed, on a server that counts: no window exceeds the budget."""

import os
import subprocess
import sys
import threading

import pytest

from rustybt.data.sources.testing import LoopbackServer, Provider, Reply, World

COUNT, SECONDS = 20, 0.5
#: Asks until the server says that it was enough.
ASKING = f"""
import asyncio, sys
from pathlib import Path
from rustybt.data.sources._budget import Budget, Rate
from rustybt.data.sources._http import Http

async def ask(session):
    while (await session.get("/", {{"ticker": "any"}})).json():
        pass

async def main(url, folder):
    budget = Budget("counted", [Rate({COUNT}, {SECONDS})], directory=Path(folder))
    http = Http("counted", url, budget=budget)
    async with http.session() as session, asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(ask(session))

asyncio.run(main(*sys.argv[1:]))
"""


class Counted(Provider):
    """Says when it was enough, and when it is time to kill."""

    enough = 140

    def __init__(self, world):
        super().__init__(world)
        self.asked = 0
        self.time_to_kill = threading.Event()

    def symbol_of(self, request):
        return request.query["ticker"]

    def respond(self, request):
        self.asked += 1
        if self.asked == 30:
            self.time_to_kill.set()
        return Reply.of_json(self.asked < self.enough)


@pytest.mark.slow
def test_four_processes_never_exceed_the_budget(tmp_path):
    provider = Counted(World({}))
    with LoopbackServer(provider) as server:
        command = [sys.executable, "-c", ASKING, server.base_url, str(tmp_path)]
        processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
        assert provider.time_to_kill.wait(60)
        killed = processes[os.getpid() % 4]
        killed.kill()
        outcomes = [(each.communicate(timeout=60)[1], each.returncode) for each in processes]
    for process, outcome in zip(processes, outcomes, strict=True):
        assert process is killed or outcome == (b"", 0)
    assert len(server.calls) >= provider.enough
    assert server.busiest(SECONDS) <= COUNT
    # It is a limit, not a standstill: the three that are left use it up.
    assert server.busiest(SECONDS) >= COUNT / 2
