"""A version with a file missing, flipped or cut short is never read as if it were whole."""

import os
import shutil

import numpy as np
import pytest

from rustybt.data.bundles import BundleMetadata, open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import CorruptVersionError, FrequencyError
from tests.fakes import FrameSource
from tests.frames import dividends, minutes, sessions, walk

DAILY = walk(["A", "B"], sessions("2019-12-02", "2020-01-31"))
MINUTES = walk(["A", "B"], minutes("2020-01-30", "2020-02-03"), seed=1)
SOURCE = FrameSource(
    {"1d": DAILY, "1m": MINUTES}, dividends(("A", "2020-01-15", 0.5, "2020-02-15"))
)

FILES = [
    "asked.parquet",
    "assets.parquet",
    "contents.parquet",
    "coverage.parquet",
    "daily/2019.parquet",
    "daily/2020-01.parquet",
    "dividends.parquet",
    "identities.parquet",
    "manifest.json",
    "mergers.parquet",
    "metadata.json",
    "metadata.parquet",
    "minute/2020-01.parquet",
    "minute/2020-02.parquet",
    "quality.parquet",
    "renamed.parquet",
    "splits.parquet",
    "stock_dividends.parquet",
]
#: Which an ingest reads, and hashes first.
READ_BY_WRITERS = {"identities.parquet", "asked.parquet", "contents.parquet", "renamed.parquet"}
PARQUET = [name for name in FILES if name.endswith(".parquet")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A root with one bundle, which the tests copy."""
    root = tmp_path_factory.mktemp("whole")
    ingest(SOURCE, "b", frequency=("1d", "1m"), environ={"ZIPLINE_ROOT": str(root)})
    return root


@pytest.fixture
def version(whole, zipline_root):
    shutil.copytree(whole, zipline_root)
    return storage.versions("b")[0]


def remove(path):
    path.unlink()


def flip(path, share=0.5):
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1
    path.write_bytes(bytes(content))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path):
    path.write_bytes(b"")


def flip_unnoticed(path):
    """As a failing disk does: the size and the time of the file stay."""
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def read_everything(bundle):
    bundle.bars("daily")
    bundle.bars("minute")
    return bundle.assets, bundle.events, bundle.coverage, bundle.quality_findings


def test_these_are_all_the_files_of_a_version(version):
    there = [path for path in version.path.rglob("*") if path.is_file()]
    names = {path.relative_to(version.path).as_posix() for path in there}
    assert {name for name in names if not name.startswith("panel/")} == set(FILES)


@pytest.mark.parametrize("damage", [remove, flip, truncate, empty])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(version, name, damage):
    damage(version.path / name)
    for look in (open_bundle, BundleMetadata.load):
        with pytest.raises(CorruptVersionError, match=rf"{name} is (missing|damaged)"):
            look("b")


@pytest.mark.parametrize("share", np.linspace(0, 1, 12))
def test_a_manifest_flipped_anywhere_is_damaged(version, share):
    flip(version.path / "manifest.json", share)
    with pytest.raises(CorruptVersionError, match=r"manifest\.json is damaged"):
        open_bundle("b")


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"files": {}, "sha256": ""}'])
def test_a_manifest_of_something_else_is_damaged(version, content):
    (version.path / "manifest.json").write_text(content)
    with pytest.raises(CorruptVersionError, match=r"manifest\.json is damaged"):
        open_bundle("b")


@pytest.mark.parametrize("name", sorted({*PARQUET, "metadata.json"} - READ_BY_WRITERS))
def test_a_bit_that_a_disk_lost_is_noticed_when_the_file_is_read(version, name):
    flip_unnoticed(version.path / name)
    with pytest.raises(CorruptVersionError, match=name):
        read_everything(open_bundle("b"))


@pytest.mark.parametrize("name", PARQUET)
def test_a_check_of_every_byte_finds_a_bit_that_a_disk_lost(version, name):
    version.check(every_byte=True)
    flip_unnoticed(version.path / name)
    with pytest.raises(CorruptVersionError, match=rf"{name} is damaged: its checksum"):
        version.check(every_byte=True)


def test_a_file_that_was_only_touched_is_whole(version):
    for path in version.path.rglob("*.parquet"):
        os.utime(path)
    read_everything(open_bundle("b"))


def test_a_copied_bundle_is_whole(version, tmp_path):
    elsewhere = tmp_path / "copy"
    shutil.copytree(version.path.parents[2], elsewhere, copy_function=shutil.copyfile)
    copy = open_bundle("b", environ={"ZIPLINE_ROOT": str(elsewhere)})
    copy.version.check(every_byte=True)
    assert copy.bars().equals(DAILY)


def test_a_file_that_was_added_is_not_read(version):
    for kind, year in (("daily", "1999"), ("minute", "1999-01")):
        source = next((version.path / kind).iterdir())
        shutil.copy(source, version.path / kind / f"{year}.parquet")
    bundle = open_bundle("b")
    assert bundle.bars("daily").equals(DAILY)
    assert bundle.bars("minute").equals(MINUTES)


def test_an_older_version_can_still_be_read(version):
    new = ingest(SOURCE, "b", frequency=("1d", "1m"))
    flip(new.path / "daily" / "2020-01.parquet")
    with pytest.raises(CorruptVersionError):
        open_bundle("b")
    assert open_bundle("b", version.timestamp).bars().equals(DAILY)


def test_a_damaged_version_does_not_stand_in_the_way_of_the_next(version):
    flip(version.path / "daily" / "2020-01.parquet")
    ingest(SOURCE, "b", frequency=("1d", "1m"))
    assert open_bundle("b").bars().equals(DAILY)


def test_no_sid_is_taken_from_a_damaged_ledger_and_none_moves(version):
    before = open_bundle("b").assets.select("symbol", "sid").rows()
    flip_unnoticed(version.path / "identities.parquet")
    renewed = ingest(SOURCE, "b", frequency=("1d", "1m"))
    assert open_bundle("b").assets.select("symbol", "sid").rows() == before
    assert any("damaged" in note for note in renewed.metadata.notes)


PANEL = [
    "open.npy", "high.npy", "low.npy", "close.npy", "volume.npy",
    "labels.npy", "sids.npy", "first.npy", "last.npy", "manifest.json",
]  # fmt: skip


def values_of(panel):
    axes = {name: getattr(panel, name) for name in ("labels", "sids", "first", "last")}
    return axes | panel.values


@pytest.mark.parametrize("damage", [remove, flip, truncate, empty])
@pytest.mark.parametrize("kind", ["daily", "minute"])
@pytest.mark.parametrize("name", PANEL)
def test_a_damaged_panel_is_built_again_with_equal_values(version, name, kind, damage):
    before = {key: array.copy() for key, array in values_of(open_bundle("b").panel(kind)).items()}
    damage(version.path / "panel" / kind / name)
    after = values_of(open_bundle("b").panel(kind))
    assert before.keys() == after.keys()
    for key, array in after.items():
        np.testing.assert_array_equal(array, before[key])
    version.check(every_byte=True)


def test_a_panel_that_is_gone_is_built_again(version):
    expected = open_bundle("b").panel("daily").values["close"].copy()
    shutil.rmtree(version.path / "panel")
    np.testing.assert_array_equal(open_bundle("b").panel("daily").values["close"], expected)
    assert (version.path / "panel" / "daily").is_dir()


def test_whoever_reads_a_panel_keeps_it_while_it_is_built_again(version):
    panel = open_bundle("b").panel("daily")
    expected = panel.values["close"].copy()
    remove(version.path / "panel" / "daily" / "open.npy")
    open_bundle("b").panel("daily")
    np.testing.assert_array_equal(panel.values["close"], expected)


def test_what_a_killed_builder_left_is_removed(version):
    shape = open_bundle("b").panel("daily").values["close"].shape
    left = version.path / "panel" / ".tmp-daily"
    left.mkdir()
    (left / "close.npy").write_bytes(b"half")
    shutil.rmtree(version.path / "panel" / "daily")
    assert open_bundle("b").panel("daily").values["close"].shape == shape
    assert not left.exists()


def test_bars_of_a_kind_that_is_not_there_are_an_error():
    ingest(FrameSource(DAILY), "days")
    with pytest.raises(FrequencyError, match=r"'days' has no minute bars; it has 1d"):
        open_bundle("days").bars("minute")
    assert open_bundle("days").panel("minute").values["close"].shape == (0, 0)
