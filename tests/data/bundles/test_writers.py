"""Two writers, killed writers, failing writers and full disks: the old version stays whole."""

import errno
import os
import signal
import subprocess

import polars as pl
import pytest

from rustybt.data.bundles import list_bundles, open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import (
    BarSchemaError,
    BarValidationError,
    BundleLockedError,
    IncompleteIngestError,
    SourceError,
    UnknownSymbolError,
)
from tests.data.bundles import writer
from tests.fakes import ExplodingSource, FrameSource
from tests.frames import walk

OLD, NEW = writer.old(), writer.new()


@pytest.fixture
def busy(zipline_root):
    """A process in the middle of writing the bundle ``b``, and the pipe to it."""
    process, pipe = writer.start(writer.hold, zipline_root)
    assert pipe.recv() == "writing"
    yield process, pipe
    process.kill()
    process.join()


def let_end(process, pipe):
    pipe.send("go on")
    process.join(timeout=60)
    assert process.exitcode == 0


def entries(root):
    """Every file and directory of the bundles, but for locks."""
    return sorted(
        path
        for path in (root / "rustybt").rglob("*")
        if not {".locks", ".progress"} & set(path.relative_to(root).parts)
    )


def test_a_second_writer_is_told_who_holds_the_bundle(busy):
    with pytest.raises(
        BundleLockedError, match=rf"'b' is being written by process {busy[0].pid} on"
    ):
        ingest(FrameSource(OLD), "b")


def test_the_first_writer_ends_well_in_spite_of_the_second(busy):
    with pytest.raises(BundleLockedError):
        ingest(FrameSource(OLD), "b")
    let_end(*busy)
    assert open_bundle("b").bars().equals(NEW)


def test_while_one_writes_others_read_the_old_version_and_write_other_bundles(zipline_root):
    ingest(FrameSource(OLD), "b")
    process, pipe = writer.start(writer.hold, zipline_root)
    assert pipe.recv() == "writing"
    assert open_bundle("b").bars().equals(OLD)
    ingest(FrameSource(OLD), "other")
    let_end(process, pipe)
    assert open_bundle("b").bars().equals(NEW)
    assert open_bundle("other").bars().equals(OLD)


def test_a_writer_that_was_killed_does_not_hold_the_bundle(busy):
    busy[0].kill()
    busy[0].join(timeout=60)
    ingest(FrameSource(OLD), "b")
    assert open_bundle("b").bars().equals(OLD)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """How many steps on the file system a second ingest takes."""
    root = tmp_path_factory.mktemp("count")
    ingest(FrameSource(OLD), "b", environ={"ZIPLINE_ROOT": str(root)})
    return writer.start(writer.count, root)[1].recv()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.95, 1.0])
def test_a_writer_killed_at_any_step_leaves_a_whole_version(steps, share, zipline_root):
    old = ingest(FrameSource(OLD), "b")
    process, _ = writer.start(writer.count, zipline_root, round(share * (steps - 1)))
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    found = open_bundle("b")
    found.version.check(every_byte=True)
    assert found.bars().equals(OLD if found.version == old.version else NEW)
    last = ingest(FrameSource(NEW), "b")
    whole = {version.path for version in storage.versions("b")}
    assert {old.path, last.path} <= whole
    assert {path for path in old.path.parent.iterdir() if path.is_dir()} == whole
    assert open_bundle("b").bars().equals(NEW)


def test_a_version_written_in_place_is_none_until_it_is_complete():
    old = ingest(FrameSource(OLD), "b")
    with storage.new_version("b", in_place=True) as draft:
        (draft.path / "file").write_text("half")
        assert draft.path == draft.version.path
        assert storage.versions("b") == [old.version]
        assert open_bundle("b").bars().equals(OLD)
    assert storage.versions("b") == [draft.version, old.version]
    draft.version.check(every_byte=True)


def test_a_version_written_in_place_that_fails_is_none():
    old = ingest(FrameSource(OLD), "b")
    with pytest.raises(SourceError), storage.new_version("b", in_place=True) as draft:
        fail_after_writing(draft.path / "file")
    assert storage.versions("b") == [old.version]
    assert not (draft.path / "file").exists()
    assert open_bundle("b").bars().equals(OLD)


def fail_after_writing(path):
    path.write_text("half")
    raise SourceError("the provider hung up")


@pytest.fixture(scope="module")
def steps_in_place(tmp_path_factory):
    root = tmp_path_factory.mktemp("count")
    ingest(FrameSource(OLD), "b", environ={"ZIPLINE_ROOT": str(root)})
    return writer.start(writer.write_in_place, root)[1].recv()


@pytest.mark.parametrize("share", [0.0, 0.35, 0.6, 1.0])
def test_a_writer_in_place_killed_at_any_step_leaves_a_whole_version(
    steps_in_place, share, zipline_root
):
    old = ingest(FrameSource(OLD), "b")
    step = round(share * (steps_in_place - 1))
    process, _ = writer.start(writer.write_in_place, zipline_root, step)
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    found = storage.find_version("b")
    found.check(every_byte=True)
    assert found == old.version or (found.path / "stores" / "file").read_text() == "content"
    ingest(FrameSource(NEW), "b")
    assert open_bundle("b").bars().equals(NEW)


BROKEN = NEW.with_columns(pl.when(pl.col("symbol") == "C").then(-1.0).otherwise("low").alias("low"))


@pytest.mark.parametrize(
    ("source", "options", "error"),
    [
        (ExplodingSource(NEW, fails_on="C"), {"symbols": ["C"]}, SourceError),
        (FrameSource(BROKEN), {"symbols": ["C"]}, BarValidationError),
        (FrameSource(NEW), {"symbols": ["NOPE"]}, UnknownSymbolError),
        (FrameSource(NEW), {"start": "1990-01-01", "end": "1990-02-01"}, BarSchemaError),
        (FrameSource(NEW), {"symbols": []}, BarSchemaError),
    ],
    ids=["source", "bars", "symbol", "dates", "no symbols"],
)
def test_an_ingest_that_fails_leaves_nothing(source, options, error, zipline_root):
    ingest(FrameSource(OLD), "there")
    before = entries(zipline_root)
    for name in ("there", "new"):
        with pytest.raises(error):
            ingest(source, name, **options)
        assert entries(zipline_root) == before
    assert list_bundles() == ["there"]
    assert open_bundle("there").bars().equals(OLD)


def test_an_ingest_that_is_interrupted_leaves_nothing(zipline_root):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(FrameSource(NEW), "b", progress=interrupt)
    assert entries(zipline_root) == []


def test_after_a_failure_the_same_ingest_works():
    with pytest.raises(IncompleteIngestError):
        ingest(ExplodingSource(NEW, fails_on="C"), "b")
    ingest(FrameSource(NEW), "b")
    assert open_bundle("b").bars().equals(NEW)


@pytest.mark.parametrize("limit", [4_000, 200_000])
def test_a_file_that_cannot_grow_is_an_error_and_leaves_nothing(limit, zipline_root):
    ingest(FrameSource(OLD), "b")
    before = entries(zipline_root)
    assert writer.start(writer.fill, zipline_root, limit)[1].recv() == (OSError, errno.EFBIG)
    assert entries(zipline_root) == before
    assert open_bundle("b").bars().equals(OLD)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("free", [32_768, 900_000])
def test_a_full_disk_is_an_error_and_leaves_the_old_version(small_disk, free):
    root = {"ZIPLINE_ROOT": str(small_disk)}
    ingest(FrameSource(OLD), "b", environ=root)
    before = entries(small_disk)
    filler = small_disk / "filler"
    room = os.statvfs(small_disk)
    filler.write_bytes(bytes(room.f_bavail * room.f_bsize - free))
    assert writer.start(writer.fill, small_disk)[1].recv() == (OSError, errno.ENOSPC)
    assert entries(small_disk) == before
    filler.unlink()
    assert open_bundle("b", environ=root).bars().equals(OLD)
    ingest(FrameSource(walk(["Z"], [OLD["timestamp"][0]])), "b", environ=root)
