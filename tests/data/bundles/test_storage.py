"""Names, versions, and which of them is found."""

import string
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rustybt.data.bundles import list_bundles, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import BundleNameError, UnknownBundleError
from tests.fakes import FrameSource
from tests.frames import sessions, walk

BARS = walk(["A", "B"], sessions("2020-01-02", "2020-02-28"))
NOON = datetime(2021, 5, 1, 12, tzinfo=UTC)

USABLE = st.text(min_size=1, max_size=20).filter(
    lambda name: name.isprintable() and not name.startswith(".") and not set(name) & set("/\\")
)


@given(USABLE)
def test_a_name_comes_back_from_its_directory(name):
    encoded = storage.encode_name(name)
    assert unquote(encoded) == name
    assert "/" not in encoded
    assert set(encoded) <= set(string.printable)


@given(USABLE, USABLE)
def test_two_names_never_share_a_directory(one, other):
    assert (storage.encode_name(one) == storage.encode_name(other)) == (one == other)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\nb", "a\0b", "x" * 256, "日" * 90],
)
def test_a_name_that_could_lead_elsewhere_is_refused_and_nothing_is_made(name, zipline_root):
    with pytest.raises(BundleNameError):
        ingest(FrameSource(BARS), name)
    assert not zipline_root.exists()


@pytest.mark.parametrize(
    "name", ["plain", "x" * 240, "my data", "50% off", "a%2Fb", "x..", "日経225", "ETF: world", "~"]
)
def test_any_other_printable_name_works(name):
    ingest(FrameSource(BARS), name)
    assert list_bundles() == [name]
    assert storage.find_version(name).bundle == name


def test_bundles_lie_below_the_zipline_root(zipline_root):
    result = ingest(FrameSource(BARS), "mine", timestamp=NOON)
    assert result.path == zipline_root / "rustybt" / "mine" / "2021-05-01T12;00;00"


def test_without_a_zipline_root_they_lie_in_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.bundles_root({}) == tmp_path / ".zipline" / "rustybt"
    assert storage.bundles_root({"ZIPLINE_ROOT": ""}) == tmp_path / ".zipline" / "rustybt"


@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False))
def test_a_version_is_named_after_its_instant(moment):
    try:
        instant = moment.astimezone(UTC)
    except OverflowError:  # the first and the last day that Python knows
        return
    assert storage.version_time(storage.version_name(moment)) == instant
    assert ":" not in storage.version_name(moment)


def test_versions_are_listed_newest_first_whatever_the_order_of_ingest():
    for hours in (0, 5, -7):
        ingest(FrameSource(BARS), "b", timestamp=NOON + timedelta(hours=hours))
    found = [version.timestamp for version in storage.versions("b")]
    assert found == [NOON + timedelta(hours=hours) for hours in (5, 0, -7)]


def test_two_versions_of_one_instant_are_both_kept():
    results = [ingest(FrameSource(BARS), "b", timestamp=NOON) for _ in range(2)]
    assert [result.version for result in reversed(results)] == storage.versions("b")
    assert results[1].metadata.parent_version == results[0].path.name


@pytest.fixture(scope="module")
def three_versions(tmp_path_factory):
    environ = {"ZIPLINE_ROOT": str(tmp_path_factory.mktemp("three"))}
    for hours in (0, 5, -7):
        ingest(FrameSource(BARS), "b", timestamp=NOON + timedelta(hours=hours), environ=environ)
    return environ


@pytest.mark.parametrize(
    ("asked", "hours"),
    [
        (None, 5),
        (NOON, 0),
        (NOON + timedelta(hours=1), 0),
        ("2021-05-01T12:00", 0),
        (pd.Timestamp("2021-05-01 14:00", tz="Europe/Berlin"), 0),
        (pd.Timestamp("2021-05-01 13:59:59", tz="Europe/Berlin"), -7),
        (datetime(2021, 5, 1, 17), 5),
    ],
)
def test_a_timestamp_picks_the_newest_version_up_to_it(three_versions, asked, hours):
    found = storage.find_version("b", asked, three_versions)
    assert found.timestamp == NOON + timedelta(hours=hours)


def test_a_timestamp_before_all_versions_says_when_the_oldest_is():
    ingest(FrameSource(BARS), "b", timestamp=NOON)
    with pytest.raises(UnknownBundleError, match=r"'b' has no version of 2021-04-01.*2021-05-01"):
        storage.find_version("b", "2021-04-01")


def test_an_unknown_bundle_names_those_that_are_there():
    for name in ("one", "two"):
        ingest(FrameSource(BARS), name)
    with pytest.raises(UnknownBundleError, match=r"no bundle 'tow'.*there are: one, two"):
        storage.find_version("tow")


def test_an_unknown_bundle_says_so_when_there_is_none_at_all():
    with pytest.raises(UnknownBundleError, match=r"none was ingested yet.*--bundle b"):
        storage.find_version("b")


def test_what_rustybt_did_not_make_is_not_taken_for_a_bundle_or_a_version(zipline_root):
    result = ingest(FrameSource(BARS), "b")
    root = zipline_root / "rustybt"
    for foreign in ("lost+found", "a%2Fb", ".tmp-1", "b/lost+found", "b/.tmp-1", "b/notes"):
        (root / foreign).mkdir()
    (root / "b" / "readme.txt").write_text("mine")
    assert list_bundles() == ["b"]
    assert storage.versions("b") == [result.version]


def test_a_removed_version_leaves_the_others():
    old, new = (ingest(FrameSource(BARS), "b", timestamp=NOON + timedelta(h)) for h in (0, 1))
    storage.remove(new.version)
    assert storage.versions("b") == [old.version]
    assert not new.path.exists()


def test_a_bundle_without_versions_is_not_listed():
    storage.remove(ingest(FrameSource(BARS), "b").version)
    assert list_bundles() == []
