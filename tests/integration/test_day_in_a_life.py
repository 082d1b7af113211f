"""A root with bcolz bundles and an extension file: enable, work, disable, and nothing was lost."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from rustybt.compat import install

EXTENSION = """
import pandas as pd
from zipline.data.bundles import register

SESSIONS = pd.bdate_range("2021-01-04", "2021-01-15")
START, END = SESSIONS[0], SESSIONS[-1]


def ingest_with(step):
    def ingest(environ, asset_db_writer, minute_bar_writer, daily_bar_writer, adjustment_writer,
               calendar, start_session, end_session, cache, show_progress, output_dir):
        prices = [10.0 + step * row for row in range(len(SESSIONS))]
        bars = pd.DataFrame({"open": prices, "high": prices, "low": prices, "close": prices,
                             "volume": 1000}, index=SESSIONS)
        daily_bar_writer.write([(7, bars)])
        asset_db_writer.write(
            equities=pd.DataFrame({"symbol": ["AB"], "asset_name": ["AB"], "start_date": [START],
                                   "end_date": [END], "exchange": ["NYSE"]}, index=[7]),
            exchanges=pd.DataFrame({"exchange": ["NYSE"], "canonical_name": ["NYSE"],
                                    "country_code": ["US"]}))
        adjustment_writer.write(splits=pd.DataFrame(
            {"sid": [7], "ratio": [0.5], "effective_date": [pd.Timestamp("2021-01-08")]}))
    return ingest


register("slow", ingest_with(0.25), start_session=START, end_session=END)
register("steep", ingest_with(1.0), start_session=START, end_session=END)
"""

ALGORITHM = """
from zipline.api import order, record, symbol

def initialize(context):
    context.asset = symbol("AB")

def handle_data(context, data):
    order(context.asset, 3)
    record(price=data.current(context.asset, "price"),
           past=data.history(context.asset, "close", 3, "1d").iloc[0])
"""


class Shell:
    """Runs zipline's own command line in a root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._environ = {**os.environ, "ZIPLINE_ROOT": str(root), "PYTHONWARNINGS": "ignore"}
        (root / "algo.py").write_text(ALGORITHM)

    def zipline(self, *arguments: str) -> str:
        return self._program("zipline", *arguments)

    def rustybt(self, *arguments: str) -> str:
        return self._program("rustybt", *arguments)

    def _program(self, module: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=self._environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, bundle: str) -> pd.DataFrame:
        result = self.root / f"{bundle}.pickle"
        self.zipline(
            "run", "-f", str(self.root / "algo.py"), "-b", bundle, "-s", "2021-01-06",
            "-e", "2021-01-15", "--no-benchmark", "-o", str(result),
        )  # fmt: skip
        return pd.read_pickle(result)

    def ingestions(self, bundle: str) -> int:
        return sum(line.startswith(f"{bundle} 20") for line in self.zipline("bundles").splitlines())


def _hashes(root: Path) -> dict[str, str]:
    """Every file of zipline's own, by content."""
    paths = [root / "extension.py", *(root / "data").rglob("*")]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths if p.is_file()}


def _seen(perf: pd.DataFrame) -> list[list[float]]:
    return perf[["price", "past", "portfolio_value"]].to_numpy().round(9).tolist()


@pytest.mark.slow
def test_a_day_in_a_life(tmp_path: Path) -> None:
    (tmp_path / "extension.py").write_text(EXTENSION)
    shell = Shell(tmp_path)
    shell.zipline("ingest", "-b", "slow")
    shell.zipline("ingest", "-b", "steep")
    before = {name: _seen(shell.run(name)) for name in ("slow", "steep")}
    files = _hashes(tmp_path)

    environ = {"ZIPLINE_ROOT": str(tmp_path)}
    assert install.enable(environ)
    assert {name: _seen(shell.run(name)) for name in before} == before, "bcolz still loads"

    converted = json.loads(shell.rustybt("convert", "slow", "--json"))
    assert [(each["status"], each["bars"]) for each in converted] == [("converted", 10)]
    assert shell.ingestions("slow") == 1, "one ingestion, in two formats"
    assert _seen(shell.run("slow")) == before["slow"], "and its version gives the same"

    shell.zipline("ingest", "-b", "slow")
    assert shell.ingestions("slow") == 2
    assert _seen(shell.run("slow")) == before["slow"], "and so does the new version"
    shell.zipline("ingest", "-b", "slow")
    shell.zipline("clean", "-b", "slow", "--keep-last", "2")
    assert shell.ingestions("slow") == 2
    shell.zipline("ingest", "-b", "steep")

    assert install.disable(environ)
    now = _hashes(tmp_path)
    kept = {path: digest for path, digest in files.items() if "/slow/" not in path}
    assert {path: now.get(path) for path in kept} == kept
    assert _seen(shell.run("steep")) == before["steep"], "stock zipline works as before"
