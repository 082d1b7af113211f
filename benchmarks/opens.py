"""Opening a bundle to its first value, each time in a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np

from benchmarks.measuring import row

#: What a process says: CPU seconds of its imports, of the first opening, and of later ones.
_MEASURES = ("imports", "first", "again")
_AGAIN = 10


def measure(rounds: int) -> list[dict[str, Any]]:
    """Rows of the imports, the first opening in a process, and later ones there."""
    found: list[list[dict[str, float]]] = [[], []]
    for _ in range(rounds):
        for side, name in enumerate(("zipline", "rustybt")):
            command = [sys.executable, "-m", "benchmarks.opens", name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    values = {each["value"] for side in found for each in side}
    assert len(values) == 1, values
    names = {
        "imports": "import what opens a bundle",
        "first": "open a bundle to its first value, first in a process",
        "again": "open a bundle to its first value, again",
    }
    return [
        row(names[measured], [[each[measured] for each in side] for side in found], [0.0, 0.0])
        for measured in _MEASURES
    ]


def _open(load: Any) -> float:
    import pandas as pd

    data = load("daily", os.environ)
    asset = data.asset_finder.lookup_symbol("S0001", as_of_date=None)
    day = pd.Timestamp("2017-06-01")
    return float(data.equity_daily_bar_reader.get_value(asset.sid, day, "close"))


def _child(side: str) -> None:
    warnings.simplefilter("ignore")
    if side == "zipline":
        from zipline.data.bundles import core

        from benchmarks.ingests import register

        register("daily", "daily", None)
        load = core.load
    else:
        from rustybt.compat.bundles import load
    times = [time.process_time()]
    for _ in range(_AGAIN + 1):
        value = _open(load)
        times.append(time.process_time())
    print(
        json.dumps(
            {
                "imports": times[0],
                "first": times[1] - times[0],
                # One of them sees the garbage of all imports collected.
                "again": statistics.median(np.diff(times[1:]).tolist()),
                "value": value,
            }
        )
    )


if __name__ == "__main__":
    _child(sys.argv[1])
