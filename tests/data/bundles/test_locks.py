"""One writer, also where the operating system's locks do not reach: other machines, odd disks."""

import json
import os
from dataclasses import asdict, replace

import pytest

from rustybt.data.bundles import _locks, open_bundle
from rustybt.data.bundles._locks import Holder
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import BundleLockedError
from tests.data.bundles import writer
from tests.fakes import FrameSource

OLD, NEW = writer.old(), writer.new()
ELSEWHERE = replace(Holder.me(), host="elsewhere", pid=1)


@pytest.fixture
def file(zipline_root):
    path = zipline_root / "rustybt" / ".locks" / "b.holder"
    path.parent.mkdir(parents=True)
    return path


def claim(file, holder, age=0.0):
    file.write_text(json.dumps(asdict(holder)))
    then = file.stat().st_mtime - age
    os.utime(file, (then, then))


def test_a_holder_on_another_machine_is_believed_while_its_file_is_touched(file):
    claim(file, ELSEWHERE)
    with pytest.raises(BundleLockedError, match="process 1 on elsewhere"):
        ingest(FrameSource(OLD), "b")
    assert Holder.read(file) == ELSEWHERE
    claim(file, ELSEWHERE, age=121)
    ingest(FrameSource(OLD), "b")
    assert not file.exists()


def test_a_file_that_is_torn_is_taken_over(file):
    file.write_text("{")
    ingest(FrameSource(OLD), "b")


def test_a_writer_that_stood_still_and_was_passed_over_publishes_nothing(file):
    ingest(FrameSource(OLD), "b")

    def taken_over(done, total, doing):
        claim(file, ELSEWHERE)

    with pytest.raises(BundleLockedError, match=r"on elsewhere since .* now: this process stood"):
        ingest(FrameSource(NEW), "b", progress=taken_over)
    assert open_bundle("b").bars().equals(OLD)
    assert Holder.read(file) == ELSEWHERE


def test_of_two_that_take_over_the_second_leaves_the_first_ones_file(file):
    claim(file, ELSEWHERE, age=121)
    first = replace(ELSEWHERE, pid=2)
    judged = Holder.read(file)
    claim(file, first)
    with pytest.raises(BundleLockedError, match="process 2 on elsewhere"):
        _locks._remove(file, judged, "'b' is being written")
    assert Holder.read(file) == first


def test_only_one_process_can_make_the_file_also_without_any_lock(zipline_root, file):
    started = [writer.start(writer.claim, zipline_root) for _ in range(4)]
    for _, pipe in started:
        assert pipe.recv() == "ready"
    for _, pipe in started:
        pipe.send("go")
    said = [pipe.recv() for _, pipe in started]
    for process, pipe in started:
        pipe.send("end")
        process.join(timeout=60)
    assert sorted(said) == ["held", "held", "held", "mine"]
    assert not file.exists()
