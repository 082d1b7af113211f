import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rustybt.cli import main
from tests.cli.helpers import Invoke, rows


@pytest.fixture
def root(tmp_path: Path, zipline_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``ZIPLINE_ROOT``; the working directory is beside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return zipline_root


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A folder of bars of AAA and BBB, 40 sessions of XNYS."""
    folder = tmp_path / "prices"
    folder.mkdir()
    (folder / "AAA.csv").write_text("\n".join(rows()) + "\n")
    (folder / "BBB.csv").write_text("\n".join(rows(50.0)) + "\n")
    return folder


@pytest.fixture
def invoke(root: Path) -> Invoke:
    """Run the command in this process; errors that it does not handle are raised."""

    def run(*args: object) -> Result:
        return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)

    return run


@pytest.fixture
def bundle(invoke: Invoke, prices: Path) -> str:
    """The name of a bundle with one version of `prices`."""
    done = invoke("ingest", "csv", prices, "--bundle", "small")
    assert done.exit_code == 0, done.output
    return "small"


@pytest.fixture
def version(invoke: Invoke, bundle: str) -> Path:
    """The directory of the bundle's version."""
    return Path(json.loads(invoke("bundles", "info", bundle, "--json").stdout)["path"])
