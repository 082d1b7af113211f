"""The two command lines of the migration: what they print, and how they end."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from rustybt.cli import main
from rustybt.data.bundles import list_bundles
from rustybt.data.bundles.ingest import ingest
from rustybt.legacy.migration import MigrationError, apply, revert
from tests.compat import bcolz_root
from tests.fakes import FrameSource
from tests.frames import sessions
from tests.frames import walk as new_walk
from tests.legacy.old_root import OldRoot, tree, walk

SCRIPT = Path(__file__).parents[2] / "scripts" / "migrate_catalog_to_unified.py"
DAYS = sessions("2022-01-03", "2022-03-31")


@pytest.fixture
def old(zipline_root) -> OldRoot:
    zipline_root.mkdir()
    made = OldRoot(zipline_root)
    for name in ("a", "b"):
        made.bars(name, walk([1], DAYS))
        made.parquet_catalog(name, {"source": "x", "symbols": ["A"]})
    return made


def migrate(*arguments: str):
    return CliRunner().invoke(main, ["migrate", *arguments])


def script(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def new_version(name: str) -> None:
    """What a user may do with a migrated bundle: ingest into it."""
    ingest(FrameSource(new_walk(["A"], DAYS)), name)


def test_validate_prints_the_plan_and_changes_nothing(old):
    before = tree(old.path)
    done = migrate("--validate")
    assert done.exit_code == 0
    assert "a: Parquet, 62 bars of 1d, 2022-01-03 to 2022-03-31, source x" in done.output
    assert tree(old.path) == before


def test_json_is_one_document_on_stdout(old):
    plan = json.loads(migrate("--json").stdout)
    assert [item["bundle"] for item in plan["bundles"]] == ["a", "b"]
    assert plan["ok"] is True
    assert plan["size_bytes"] > 0
    done = json.loads(migrate("--apply", "--json").stdout)
    assert [each["status"] for each in done["migrated"]] == ["migrated", "migrated"]
    assert json.loads(migrate("--revert", "--json").stdout)["removed"] == ["a", "b"]


def test_the_script_is_the_same_code(old):
    before = tree(old.path)
    place = ("--root", str(old.path))
    assert json.loads(script(*place, "--json").stdout) == json.loads(migrate("--json").stdout)
    assert script(*place, "--apply").returncode == 0
    assert list_bundles() == ["a", "b"]
    assert script(*place, "--revert").returncode == 0
    assert tree(old.path) == before


@pytest.mark.parametrize(
    ("flag", "does"),
    [
        (["--dry-run"], "use --validate"),
        (["--no-backup"], "leave it out"),
        (["--backup"], "leave it out"),
        (["--rollback", "2025-10-01"], "use --revert"),
    ],
)
def test_old_flags_work_and_say_what_replaces_them(old, flag, does):
    done = migrate(*flag)
    assert done.exit_code == 0
    assert f"{flag[0]} is deprecated since 1.0 and will be removed in v2.0: {does}" in done.stderr


def test_one_bundle_alone(old):
    assert migrate("--apply", "--bundle", "b").exit_code == 0
    assert list_bundles() == ["b"]
    assert migrate("--apply", "--bundle", "no such").exit_code == 1


def test_a_bundle_written_to_since_stops_the_revert_until_it_is_decided(old):
    apply(old.path, old.cache)
    new_version("a")
    done = migrate("--revert")
    assert done.exit_code == 1
    assert "written to or changed since" in done.stderr
    assert list_bundles() == ["a", "b"]
    assert "a: kept" in migrate("--revert", "--keep").output
    assert list_bundles() == ["a"]


def test_what_was_written_since_can_be_dropped(old):
    before = tree(old.path)
    apply(old.path, old.cache)
    new_version("a")
    assert migrate("--revert", "--drop").exit_code == 0
    assert list_bundles() == []
    assert tree(old.path) == before


def test_a_migrated_version_that_was_changed_is_not_removed_unasked(old):
    done = apply(old.path, old.cache)
    changed = done.outcomes[0].version / "assets.parquet"
    changed.write_bytes(changed.read_bytes() + b"x")
    with pytest.raises(MigrationError, match="written to or changed since"):
        revert(old.path)


def test_versions_that_were_there_before_stay(old):
    new_version("a")
    before = {name: each for name, each in tree(old.path).items() if "lock" not in name}
    apply(old.path, old.cache)
    revert(old.path)
    after = tree(old.path)
    kept = {name for name, each in before.items() if after.get(name, (None,))[0] == each[0]}
    assert kept == set(before)
    assert list_bundles() == ["a"]


def test_after_seven_days_a_revert_wants_force(old):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    apply(old.path, old.cache, clock=lambda: now)
    later = now + timedelta(days=7, seconds=1)
    with pytest.raises(MigrationError, match="--force"):
        revert(old.path, clock=lambda: later)
    assert revert(old.path, clock=lambda: later, force=True).removed == ("a", "b")


def test_a_revert_without_a_migration_says_so(old):
    done = migrate("--revert")
    assert done.exit_code == 0
    assert "no migration to revert" in done.output


def test_a_root_that_is_not_there_is_one_message(tmp_path):
    done = migrate("--root", str(tmp_path / "nowhere"))
    assert done.exit_code == 1
    assert "is no directory" in done.stderr


def test_an_ingestion_in_ziplines_format_is_migrated_bit_for_bit(old):
    bcolz_root.Content(daily=bcolz_root.daily(0, 1)).ingest(old.path, "classic")
    before = tree(old.path)
    done = apply(old.path, old.cache)
    assert done.ok
    assert [each.rows > 0 for each in done.outcomes] == [True, True, True]
    revert(old.path)
    assert tree(old.path) == before
