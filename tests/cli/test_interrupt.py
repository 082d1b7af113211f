"""^C, at a moment that the tests choose: a source of another package raises the signal itself."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rustybt.data.sources import DataSourceRegistry
from tests.cli.helpers import Invoke, rustybt
from tests.fakes import FrameSource
from tests.frames import sessions, walk

PLUGIN = """
import asyncio, os, signal
from rustybt.data.sources import DataSource, DataSourceMetadata

class Endless(DataSource):
    '''Never answers.'''
    async def list_symbols(self):
        return ["AAA"]
    async def fetch(self, symbols, start, end, frequency):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
    def get_metadata(self):
        return DataSourceMetadata("endless")
"""


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    """A PYTHONPATH on which an installed package brings the source ``endless``."""
    site = tmp_path / "site"
    info = site / "endless-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "endless.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: endless\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rustybt.sources]\nendless = endless:Endless\n")
    return os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_an_interrupted_ingest_leaves_the_version_before(
    bundle: str, version: Path, plugin: str
) -> None:
    done = rustybt("ingest", "endless", "--bundle", bundle, PYTHONPATH=plugin)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "Interrupted: nothing was changed."
    assert list(version.parent.iterdir()) == [version]


def test_a_package_s_source_is_listed_with_its_origin(plugin: str) -> None:
    shown = rustybt("sources", "list", PYTHONPATH=plugin).stdout
    assert re.search(r"endless +Never answers\.", shown)


def test_an_interrupted_run_writes_nothing(invoke: Invoke, bundle: str) -> None:
    text = "def handle_data(context, data): raise KeyboardInterrupt"
    done = invoke(
        *("run", "-t", text, "-b", bundle, "--start", "2020-01-03", "--end", "2020-01-10"),
        *("-o", "perf.pickle"),
    )
    assert done.exit_code == 130
    assert "Interrupted: nothing was changed." in done.stderr
    assert not Path("perf.pickle").exists()


class _Interrupted(FrameSource):
    """Stops in the middle."""

    def __init__(self) -> None:
        super().__init__(walk(["AAA"], sessions("2020-01-02", "2020-01-06")))

    async def fetch(self, *args: object) -> None:  # type: ignore[override]
        raise KeyboardInterrupt


@pytest.fixture
def interrupted() -> Iterator[None]:
    DataSourceRegistry.register("interrupted", _Interrupted)
    yield
    DataSourceRegistry.unregister("interrupted")


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_first_ingest_leaves_no_bundle(invoke: Invoke) -> None:
    assert invoke("ingest", "interrupted", "--bundle", "first").exit_code == 130
    assert invoke("bundles", "list", "--json").stdout == "[]\n"
