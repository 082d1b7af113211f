"""Ten steps of research, against Yahoo's format on this machine: what reaches the provider.

The same requests through `CachedDataSource`, yfinance's own cache, requests-cache and hishel, with
two restarts of the process on the way. The HTTP caches keep every answer for ever, also of a day
that is not over, and are spared making a frame of it. Called by
``python -m benchmarks.cache --session``.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.session_client import NOW, RESTARTS, STEPS, TOOLS, TWELVE
from rustybt.data.sources.testing import LoopbackServer, World
from tests.data.sources.yahoo import YahooProvider
from tests.frames import sessions, walk

CLIENT = Path(__file__).with_name("session_client.py")


def compare(python: str | None) -> list[dict[str, str]]:
    """A row for each tool; requests-cache and hishel by an interpreter that has them."""
    world = World({"1d": walk(TWELVE, sessions("2010-01-04", "2020-01-10"))}, now=NOW)
    rows, bars = [], []
    for tool in TOOLS:
        interpreter = python or sys.executable if tool in ("requests-cache", "hishel") else None
        with (
            LoopbackServer(YahooProvider(world)) as server,
            tempfile.TemporaryDirectory() as folder,
        ):
            done = _session(tool, server.base_url, folder, interpreter or sys.executable)
            charts = Counter(call.request.symbol is not None for call in server.calls)
        bars.append([each for part in done for each in part["bars"]])
        rows.append(
            {
                "tool": tool,
                "charts": f"{charts[True]}",
                "other": f"{charts[False]}",
                "seconds": f"{sum(part['seconds'] for part in done):.2f}",
                "cpu": f"{sum(part['cpu'] for part in done):.2f}",
            }
        )
    assert all(each == bars[0] for each in bars), f"the tools' bars differ: {bars}"
    return rows


def _session(tool: str, base_url: str, folder: str, python: str) -> list[dict[str, Any]]:
    """What each process of a session printed."""
    bounds = [0, *RESTARTS, len(STEPS)]
    told = []
    for first, last in pairwise(bounds):
        command = [python, str(CLIENT), tool, base_url, folder, str(first), str(last)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{tool} failed:\n{done.stderr}")
        told.append(json.loads(done.stdout.splitlines()[-1]))
    return told
