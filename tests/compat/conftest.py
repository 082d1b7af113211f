"""Fixtures of the tests of `run_algorithm`."""

import pytest

from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.ingest import ingest
from tests.compat.simulation import BARS
from tests.fakes import FrameSource
from tests.frames import dividends


@pytest.fixture(scope="session")
def root_of_two(tmp_path_factory):
    """A root with the bundle ``b`` of two assets, daily."""
    path = tmp_path_factory.mktemp("run") / "zipline"
    events = dividends(("B", "2020-02-10", 0.5, None))
    environ = {"ZIPLINE_ROOT": str(path)}
    ingest(FrameSource(BARS, events, config={"path": "here"}), "b", environ=environ)
    return path


@pytest.fixture
def bundle(root_of_two, monkeypatch):
    """The bundle ``b`` of two assets, whose root is the environment's."""
    monkeypatch.setenv("ZIPLINE_ROOT", str(root_of_two))
    return open_bundle("b")
