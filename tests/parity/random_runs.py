"""Random algorithms under both engines: ``python -m tests.parity.random_runs --runs 1000``.

Draws data sets, sessions and algorithms, and says which of them end in different cells. The tests
draw a few of the same (`test_engines.py`).
"""

import argparse
import logging
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from zipline.utils.run_algo import BenchmarkSpec

from rustybt.compat.parity import parity
from rustybt.compat.simulation import Algorithm, Setting
from tests.parity import engines
from tests.parity.algorithms import random_steps
from tests.parity.datasets import DATASETS
from tests.parity.wide import WIDE
from tests.parity.workspace import Workspace

Make = Callable[[], tuple[Algorithm, Setting, BenchmarkSpec]]


@dataclass(frozen=True)
class Span:
    """Where runs may lie; the warm-up before is there to be asked for.

    Attributes
    ----------
    data : str
        Name of the data set.
    first, last : str
        Sessions.
    sessions : int
        Of a run.
    minutes : bool
        Whether runs are on minutes.
    pipelines : bool
        Whether there is room before the first session for the windows of pipelines.
    """

    data: str
    first: str
    last: str
    sessions: int = 45
    minutes: bool = False
    pipelines: bool = True


SPANS = {
    "us-daily": Span("us-daily", "2012-06-20", "2013-12-31"),
    "wide-daily": Span("wide-daily", "2012-06-20", "2013-12-31"),
    "london": Span("london", "2013-01-10", "2013-09-30"),
    "crypto": Span("crypto", "2023-01-10", "2023-12-26"),
    "us-minute": Span("us-minute", "2013-11-20", "2013-12-09", 2, minutes=True),
    "wide-minute": Span("wide-minute", "2013-11-27", "2013-12-04", 2, minutes=True),
}
#: From the first session on, and minutes around the clock: for the search alone.
FURTHER_SPANS = {
    "wide-daily from its first session": Span(
        "wide-daily", "2012-06-01", "2012-08-31", 40, pipelines=False
    ),
    "wide-daily over the ends of lives": Span("wide-daily", "2013-07-01", "2013-09-30", 60),
    "real": Span("real", "2000-03-01", "2013-03-01", 300),
    "crypto minutes": Span("crypto", "2023-12-24", "2023-12-26", 1, minutes=True),
}
_SETS = {**DATASETS, **{each.name: each for each in WIDE}}


def random_run(workspace: Workspace, span: Span, precision: str, start: int, seed: int) -> Make:
    """What makes a random algorithm on some sessions of a data set, as `parity` wants it."""
    dataset = _SETS[span.data]
    root = workspace.our_root(dataset, precision)
    sessions = engines.get_calendar(dataset.calendar).sessions_in_range(span.first, span.last)
    first = start % max(len(sessions) - 2, 1)
    run = sessions[first : first + span.sessions]

    def initialize(context: Any) -> None:
        context.frequencies = ["1m", "1d"] if span.minutes else ["1d"]
        with_pipeline = span.pipelines and dataset.country == "US" and seed % 3 == 0
        random_steps.initialize(context, seed, with_pipeline)

    def make() -> tuple[Algorithm, Setting, BenchmarkSpec]:
        setting = Setting(
            start=run[0],
            end=run[-1],
            capital_base=100_000,
            bundle=engines.our_bundle(dataset, precision),
            data_frequency="minute" if span.minutes else "daily",
            environ={"ZIPLINE_ROOT": str(root)},
        )
        functions = {
            "initialize": initialize,
            "handle_data": random_steps.handle_data,
            "before_trading_start": random_steps.before_trading_start,
        }
        zero = pd.Series(0.0, index=run)
        return Algorithm("random", functions), setting, BenchmarkSpec.from_returns(zero)

    return make


def search(workspace: Workspace, runs: int, seed: int, names: list[str]) -> int:
    """Compare some random runs; how many of them differ."""
    draw, differing, begin = random.Random(seed), 0, time.monotonic()  # noqa: S311
    spans = {**SPANS, **FURTHER_SPANS}
    for number in range(runs):
        name, precision = draw.choice(names), draw.choice(["full", "bcolz"])
        drawn = draw.randrange(10**6), draw.randrange(10**6)
        where = f"{name}, {precision}, start {drawn[0]}, seed {drawn[1]}"
        make = random_run(workspace, spans[name], precision, *drawn)
        try:
            found = parity(make)
        except Exception:
            print(f"raised: {where}", flush=True)
            raise
        if not found.identical:
            differing += 1
            shown = "\n  ".join(map(str, found.differences[:5]))
            print(f"differs: {where}\n  {shown}", flush=True)
        if number % 50 == 49:
            took = time.monotonic() - begin
            print(f"{number + 1} runs, {differing} differ, {took:.0f} s", flush=True)
    return differing


def main() -> None:
    """Search with the options of the command line."""
    names = [*SPANS, *FURTHER_SPANS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spans", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        differing = search(workspace, arguments.runs, arguments.seed, arguments.spans)
    raise SystemExit(f"{differing} runs differ" if differing else 0)


if __name__ == "__main__":
    main()
