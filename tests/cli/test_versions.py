"""Versions of a bundle: compared, verified, pinned and cleaned; runs that are proved."""

import json
from pathlib import Path

import pytest

from rustybt.data.bundles import retention, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import PinnedVersionError
from tests.cli.helpers import Invoke
from tests.fakes import FrameSource
from tests.frames import sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-02-28")
OLD = walk(["A", "B"], DAYS[:-2])
NEW = walk(["A", "B", "C"], DAYS)


@pytest.fixture
def two(root: Path) -> list[Path]:
    """A bundle with two versions, the older one first; B's sixth volume was revised."""
    import polars as pl

    revised = (pl.col("symbol") == "B") & (pl.col("timestamp") == DAYS[5])
    later = NEW.filter((pl.col("symbol") == "C") | pl.col("timestamp").is_in(DAYS[-2:]))
    bars = pl.concat([OLD, later]).with_columns(
        pl.when(revised).then(pl.col("volume") + 1).otherwise("volume").alias("volume")
    )
    first = ingest(FrameSource(OLD), "b", timestamp="2021-01-01").path
    events = splits(("A", "2020-02-03", 0.5))
    return [first, ingest(FrameSource(bars, events), "b", timestamp="2021-02-01").path]


def test_a_diff_says_which_bars_events_and_assets_changed(invoke: Invoke, two: list[Path]) -> None:
    found = json.loads(invoke("bundles", "diff", "b", "--json").stdout)
    assert (found["old"], found["new"]) == (two[0].name, two[1].name)
    changes = [(row["change"], row["symbol"], row["timestamp"]) for row in found["bars"]["daily"]]
    assert [c for c in changes if c[0] == "changed"] == [("changed", "B", str(DAYS[5]))]
    assert len([c for c in changes if c[0] == "added"]) == 2 * 2 + len(DAYS)
    assert [row["change"] for row in found["events"]["splits"]] == ["added"]
    assert {row["symbol"] for row in found["assets"]} == {"A", "B", "C"}
    assert "daily bars" in invoke("bundles", "diff", "b").stdout


def test_the_first_version_has_none_to_compare_it_with(invoke: Invoke, two: list[Path]) -> None:
    done = invoke("bundles", "diff", "b", "--new", "2021-01-15")
    assert done.exit_code == 1
    assert f"no version before {two[0].name}" in done.stderr


def test_equal_versions_have_no_difference(invoke: Invoke, root: Path) -> None:
    for _ in range(2):
        ingest(FrameSource(OLD), "b")
    assert "are the same" in invoke("bundles", "diff", "b").stdout


def test_verify_names_the_damaged_file_and_fails(invoke: Invoke, two: list[Path]) -> None:
    assert invoke("bundles", "verify", "b").exit_code == 0
    victim = two[0] / "daily" / "2020-01.parquet"
    victim.write_bytes(victim.read_bytes()[:-9])
    done = invoke("bundles", "verify", "b", "--json")
    assert done.exit_code == 1
    sound = {report["version"]: report["sound"] for report in json.loads(done.stdout)}
    assert sound == {two[0].name: False, two[1].name: True}
    assert "2020-01.parquet is damaged" in done.stdout


def test_a_pinned_version_is_never_cleaned(invoke: Invoke, two: list[Path]) -> None:
    pinned = invoke("bundles", "pin", "b", "--bundle-timestamp", "2021-01-15", "--why", "paper")
    assert pinned.exit_code == 0
    assert "pinned: paper" in invoke("bundles", "info", "b").stdout
    done = invoke("bundles", "clean", "b", "--keep-last", "0", "--json")
    assert json.loads(done.stdout)["removed"] == [str(two[1])]
    (left,) = storage.versions("b")
    assert left.path == two[0]
    with pytest.raises(PinnedVersionError, match="is pinned"):
        storage.remove(left)
    assert list(retention.pins("b")) == [left]
    assert invoke("bundles", "unpin", "b").exit_code == 0
    assert invoke("bundles", "clean", "b", "--keep-last", "0").exit_code == 0
    assert storage.versions("b") == []


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--before", "2021-01-15"], [1]),
        (["--after", "2021-01-15"], [0]),
        (["--keep-last", "1"], [1]),
        (["--before", "2020-01-01"], [0, 1]),
    ],
)
def test_clean_keeps_ziplines_meanings(
    invoke: Invoke, two: list[Path], options: list[str], left: list[int]
) -> None:
    assert invoke("bundles", "clean", "b", *options).exit_code == 0
    assert [version.path for version in storage.versions("b")][::-1] == [two[i] for i in left]


@pytest.mark.parametrize("options", [[], ["--before", "2021-01-15", "--keep-last", "1"]])
def test_a_clean_that_is_not_said_clearly_removes_nothing(
    invoke: Invoke, two: list[Path], options: list[str]
) -> None:
    done = invoke("bundles", "clean", "b", *options)
    assert (done.exit_code, len(storage.versions("b"))) == (1, 2)


RUN = ("run", "-t", "def handle_data(context, data): pass", "-s", "2020-01-03", "-e", "2020-01-10")


def test_a_run_proves_its_inputs_and_can_be_repeated_on_them_only(
    invoke: Invoke, two: list[Path], tmp_path: Path
) -> None:
    perf = tmp_path / "perf.pickle"
    assert invoke(*RUN, "-b", "b", "-o", perf).exit_code == 0
    assert "the very same" in invoke("verify-run", perf).stdout
    ingest(FrameSource(OLD), "b")
    again = json.loads(invoke(*RUN, "-b", "b", "--locked", perf, "--json").stdout)
    assert again["run"]["version"] == two[1].name
    victim = two[1] / "daily" / "2020-01.parquet"
    victim.write_bytes(b"other")
    done = invoke("verify-run", perf)
    assert done.exit_code == 1
    assert "2020-01.parquet is damaged" in done.stderr
    refused = invoke(*RUN, "-b", "b", "--locked", perf)
    assert refused.exit_code == 1
    assert "not at hand" in refused.stderr


def test_the_lock_of_printed_json_is_read_too(invoke: Invoke, two: list[Path]) -> None:
    printed = Path("run.json")
    printed.write_text(invoke(*RUN, "-b", "b", "--json").stdout)
    assert invoke("verify-run", printed).exit_code == 0
    storage.remove(storage.versions("b")[0])
    gone = invoke("verify-run", printed)
    assert gone.exit_code == 1
    assert "not in" in gone.stderr


def test_a_file_that_is_no_result_is_refused(invoke: Invoke) -> None:
    Path("other.json").write_text("{}")
    assert "no data lock" in invoke("verify-run", "other.json").stderr


def test_a_run_can_require_a_quality(invoke: Invoke, root: Path) -> None:
    import polars as pl

    doubtful = OLD.with_columns(
        pl.when(pl.col("timestamp") == DAYS[5]).then(0.0).otherwise("volume").alias("volume")
    )
    ingest(FrameSource(doubtful), "b")
    assert invoke(*RUN, "-b", "b", "--require-quality", "0.9").exit_code == 0
    done = invoke(*RUN, "-b", "b", "--require-quality", "0.999")
    assert done.exit_code == 1
    assert "below the 0.999 that the run requires" in done.stderr


@pytest.fixture
def of_csv(invoke: Invoke, root: Path) -> list[Path]:
    """Two versions that share the file of 2019, made from a CSV file; the newer one first."""
    year = walk(["A"], sessions("2019-12-02", "2020-01-31"))
    for bars, how in ((year[:-5], "--allow-partial"), (year, "--update")):
        bars.write_csv("prices.csv")
        assert invoke("ingest", "csv", "prices.csv", "-b", "my b", how).exit_code == 0
    return [version.path for version in storage.versions("my b")]


def test_verify_prints_the_command_that_repairs(invoke: Invoke, of_csv: list[Path]) -> None:
    victim = of_csv[0] / "daily" / "2019.parquet"
    victim.write_bytes(victim.read_bytes()[::-1])
    said = invoke("bundles", "verify", "my b")
    assert f"the same file in {of_csv[1].name}" in said.stdout
    assert "rustybt bundles repair 'my b'" in said.stderr
    assert "rustybt bundles repair 'my b'" in invoke("bundles", "info", "my b").stderr
    done = invoke("bundles", "repair", "my b")
    assert done.exit_code == 0
    assert "restored from source csv" in done.stdout
    assert invoke("bundles", "verify", "my b").exit_code == 0
    assert "Nothing is damaged" in invoke("bundles", "repair", "my b").stdout


def test_what_cannot_be_restored_becomes_a_new_version(invoke: Invoke, of_csv: list[Path]) -> None:
    victim = of_csv[0] / "daily" / "2019.parquet"
    victim.write_bytes(b"lost")
    walk(["A"], sessions("2019-12-02", "2020-01-31"), seed=1).write_csv("prices.csv")
    done = invoke("bundles", "repair", "my b", "--json")
    assert done.exit_code == 1
    made = json.loads(done.stdout)["new_version"]
    assert made == storage.versions("my b")[0].path.name
    assert "the new version is sound" in done.stderr
    storage.versions("my b")[0].check(every_byte=True)


def test_a_repair_says_why_no_source_was_asked(invoke: Invoke, of_csv: list[Path]) -> None:
    (of_csv[0] / "daily" / "2019.parquet").write_bytes(b"lost")
    Path("prices.csv").unlink()
    done = invoke("bundles", "repair", "my b")
    assert done.exit_code == 1
    assert f"there is no file or folder {Path('prices.csv').absolute()}" in done.stderr


@pytest.mark.parametrize("content", [b"def f(): ...", b"", b"{", b"[]", b"\x80\x04K\x01.", b"\x80"])
def test_a_file_that_is_no_result_is_said_to_be_none(
    invoke: Invoke, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    done = invoke("verify-run", str(file))
    assert done.exit_code == 1
    assert "is no result of a rustybt run" in done.stderr
