"""A bundle on a disk that may not be written to can be read; what is derived is built elsewhere."""

import atexit
import multiprocessing
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from rustybt.data.bundles import open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import sessions, walk

BARS = walk(["A", "B"], sessions("2020-01-02", "2020-02-28"))
NOBODY = 65_534


def read(root, user, pipe):
    """Open the bundle as another user, and say what its panel holds and where it lies."""
    if os.geteuid() == 0 and user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    os.environ["TMPDIR"] = str(Path(root).parent / "scratch")
    tempfile.tempdir = None
    bundle = open_bundle("b", environ={"ZIPLINE_ROOT": root})
    panel = bundle.panel("daily")
    pipe.send((panel.values["close"].copy(), bundle.bars().rows()))
    atexit._run_exitfuncs()  # as at the end of any process but multiprocessing's


def in_another_process(root, user=None):
    forks = multiprocessing.get_context("forkserver")
    ours, theirs = forks.Pipe()
    process = forks.Process(target=read, args=(str(root), user, theirs))
    process.start()
    theirs.close()
    answer = ours.recv()
    process.join(timeout=60)
    assert process.exitcode == 0
    return answer


@pytest.fixture
def shared():
    """A root that other users may enter, with a directory for their temporary files."""
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        (top / "scratch").mkdir()
        for path in (top, top / "scratch"):
            path.chmod(0o777)
        root = top / "zipline"
        ingest(FrameSource(BARS), "b", environ={"ZIPLINE_ROOT": str(root)})
        yield root
        make_writable(root, True)


def make_writable(root, allowed):
    for path in [root, *root.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode) | 0o444 | (0o111 if path.is_dir() else 0)
        path.chmod(mode | 0o200 if allowed else mode & ~0o222)


@pytest.mark.parametrize("loss", [None, "panel/daily", "panel", "panel/daily/close.npy"])
def test_a_bundle_that_may_only_be_read_is_read(shared, loss):
    version = storage.versions("b", {"ZIPLINE_ROOT": str(shared)})[0]
    expected = open_bundle("b", environ={"ZIPLINE_ROOT": str(shared)}).panel("daily")
    closes = expected.values["close"].copy()
    if loss is not None and (version.path / loss).is_dir():
        shutil.rmtree(version.path / loss)
    elif loss is not None:
        (version.path / loss).unlink()
    make_writable(shared, False)
    before = sorted(shared.rglob("*"))
    panel, rows = in_another_process(shared, NOBODY)
    np.testing.assert_array_equal(panel, closes)
    assert rows == BARS.rows()
    assert sorted(shared.rglob("*")) == before
    assert list((shared.parent / "scratch").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_bundle_on_a_disk_mounted_read_only_is_read(shared):
    version = storage.versions("b", {"ZIPLINE_ROOT": str(shared)})[0]
    shutil.rmtree(version.path / "panel")
    bind = ["mount", "--bind", str(shared), str(shared)]
    if subprocess.run(bind, check=False).returncode != 0:
        pytest.skip("this root may not mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(shared)], check=True)
        panel, rows = in_another_process(shared)
    finally:
        subprocess.run(["umount", str(shared)], check=True)
    assert panel.shape == (len(BARS) // 2, 2)
    assert rows == BARS.rows()
