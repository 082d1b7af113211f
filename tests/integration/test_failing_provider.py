"""``rustybt ingest`` from a provider that fails five symbols in five ways: the rest is kept."""

import os
import subprocess
import sys
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.bundles.bundle import open_bundle
from rustybt.data.sources.testing import Fault, Injection, LoopbackServer, make_world
from tests.data.sources.massive_provider import MassiveProvider

LAST = date(2020, 6, 30)
GOOD = ["AAPL", "MSFT"]
#: Symbol -> what happens to it, and what is said of it.
BAD = {
    "IBM": (Fault.UNAUTHORISED, "Check the API key"),
    "KO": (Fault.RATE_LIMITED, "429"),
    "GE": (Fault.OUTAGE, "503"),
    "F": (Fault.HTML_BODY, "not JSON"),
    "NO.SUCH": (None, "no symbol NO.SUCH"),
}


@pytest.fixture
def server():
    provider = MassiveProvider(make_world([*GOOD, "IBM", "KO", "GE", "F", "TWTR"]))
    faults = [Injection(fault, symbol) for symbol, (fault, _) in BAD.items() if fault]
    with LoopbackServer(provider, faults) as server:
        yield server
    assert server.errors == []


def ingest(server):
    command = [sys.executable, "-m", "rustybt", "ingest", "massive", "--bundle", "mine"]
    asked = ["--symbols", ",".join([*GOOD, *BAD]), "--start", "2020-03-02", "--end", str(LAST)]
    return subprocess.run(
        [*command, *asked, "--option", f"base_url={server.base_url}"],
        env={**os.environ, "MASSIVE_API_KEY": server.provider.secret, "COLUMNS": "200"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.slow
def test_five_failures_are_five_reasons_and_the_others_are_kept(server):
    done = ingest(server)
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    for symbol, (_, reason) in BAD.items():
        assert symbol in said
        assert reason in said
    assert "Traceback" not in said
    assert server.provider.secret not in said
    truth = server.provider.world.expected(GOOD, "1d").filter(pl.col("timestamp") <= LAST)
    kept = open_bundle("mine").bars().select(truth.columns)
    assert_frame_equal(kept, truth, check_row_order=False)
