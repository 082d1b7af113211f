"""The timezone of the machine changes nothing of an ingest or a run."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from rustybt.data.bundles.ingest import ingest
from tests.compat import stock
from tests.compat.simulation import simulate
from tests.fakes import FrameSource
from tests.frames import minutes, sessions, walk

REPOSITORY = Path(__file__).parents[2]

IN_A_TIMEZONE = """
import sys, warnings
warnings.simplefilter("ignore")
from tests.compat.test_run_timezones import digest_of_runs
print(digest_of_runs())
"""


def digest_of_runs():
    """Ingest and run daily and minute bars over the weeks when clocks change; a digest of all."""
    daily = walk(["A"], sessions("2020-03-02", "2020-11-06"))
    intraday = walk(["A"], minutes("2020-04-02", "2020-04-06"))
    hashes = [
        ingest(FrameSource(daily), "b").metadata.content_hash,
        ingest(FrameSource(intraday), "m", frequency="1m").metadata.content_hash,
    ]
    spans = [
        ("b", "2020-03-03", "2020-11-06", "daily"),
        ("m", "2020-04-03", "2020-04-06", "minute"),
    ]
    for bundle, first, last, frequency in spans:
        perf = simulate(
            pd.Timestamp(first), pd.Timestamp(last), bundle=bundle, data_frequency=frequency
        )
        perf = stock.plain(perf)
        hashes += [repr(perf.to_dict("list")), repr(perf.index.to_list())]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


@pytest.mark.slow
def test_the_timezone_of_the_machine_changes_nothing(tmp_path):
    running = []
    for zone in ("Europe/Berlin", "Asia/Tokyo", "Australia/Sydney"):
        environ = {**os.environ, "TZ": zone, "ZIPLINE_ROOT": str(tmp_path / zone)}
        command = [sys.executable, "-c", IN_A_TIMEZONE]
        running.append(
            subprocess.Popen(
                command, env=environ, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
            )
        )
    here = digest_of_runs()
    assert [process.communicate(timeout=300)[0].strip() for process in running] == [here] * 3
