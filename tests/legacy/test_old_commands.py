"""Old commands say what replaces them, and do that."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from rustybt.cli import main
from rustybt.data.bundles import BundleMetadata, list_bundles
from rustybt.data.bundles.storage import versions
from tests.frames import sessions, walk
from tests.legacy.old_root import OldRoot
from tests.legacy.old_root import walk as old_walk

DAYS = sessions("2023-01-03", "2023-03-31")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "old-names.md").read_text()
COMMANDS = re.findall(r"^\| `rustybt ([^`]+)` \| `([^`]+)` \|$", DOCUMENT, re.MULTILINE)

EXTENSION = """
import pandas as pd
from zipline.data.bundles import register

@register("registered", calendar_name="XNYS", start_session=pd.Timestamp("2023-01-03"),
          end_session=pd.Timestamp("2023-01-31"))
def ingest(environ, assets, minute, daily, adjustments, calendar, start, end, *rest):
    days = calendar.sessions_in_range(start, end)
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close", "volume"], 9), index=days)
    daily.write([(0, bars)])
    assets.write(equities=pd.DataFrame({"symbol": ["A"], "start_date": start, "end_date": end,
                                        "exchange": "X"}, index=[0]))
    adjustments.write()
"""


@pytest.fixture
def here(tmp_path, monkeypatch, zipline_root):
    """A folder of CSV files, an extension that registers a bundle, and an old bundle."""
    monkeypatch.chdir(tmp_path)
    Path("prices").mkdir()
    bars = walk(["A", "B"], DAYS).rename({"timestamp": "date"})
    bars.write_csv("prices/prices.csv")
    zipline_root.mkdir()
    (zipline_root / "extension.py").write_text(EXTENSION)
    old = OldRoot(zipline_root)
    old.bars("old", old_walk([1], DAYS))
    old.parquet_catalog("old", {"source": "x", "symbols": ["A"]})
    return tmp_path


def run(*words: str):
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 0, done.output
    return done


def ingested() -> None:
    run("ingest", "csv", "prices", "--bundle", "b")


def test_a_bundle_that_is_registered_with_zipline(here):
    said = run("ingest", "-b", "registered", "--no-show-progress").stderr
    assert "use 'zipline ingest -b registered'" in said
    assert BundleMetadata.load("registered").span == "2023-01-03 to 2023-01-31"


def test_a_bundle_that_nobody_registered_is_one_message(here):
    done = CliRunner().invoke(main, ["ingest", "-b", "no such"])
    assert done.exit_code == 1
    assert "no such" in done.stderr


def test_ingest_unified(here):
    words = ("--symbols", "A", "--start", "2023-02-01", "--end", "2023-02-28", "--frequency", "1d")
    said = run("ingest-unified", "csv", "-b", "u", "--csv-dir", "prices", *words).stderr
    assert "use 'rustybt ingest csv'" in said
    assert BundleMetadata.load("u").symbols == ["A"]


def test_ingest_unified_lists_sources_and_exchanges(here):
    assert "yfinance" in run("ingest-unified", "--list-sources").stdout
    assert "csv" in run("ingest-unified", "--source-info", "csv").stdout
    assert "kraken" in run("ingest-unified", "--list-exchanges").stdout.split()


@pytest.mark.parametrize("words", [["bundle", "list"], ["bundle", "info", "b"], ["bundles"]])
def test_bundles_are_shown(here, words):
    ingested()
    assert "b" in run(*words).stdout


def test_a_bundle_is_validated(here):
    ingested()
    assert "use 'rustybt quality'" in run("bundle", "validate", "b").stderr


def test_bundle_migrate_applies_and_rolls_back(here):
    run("bundle", "migrate", "--dry-run")
    assert list_bundles() == []
    run("bundle", "migrate", "--no-backup")
    assert list_bundles() == ["old"]
    run("bundle", "migrate", "--rollback", "2025-01-01")
    assert list_bundles() == []


def test_clean_keeps_the_last(here):
    ingested()
    ingested()
    assert "use 'rustybt bundles clean'" in run("clean", "-b", "b", "--keep-last", "1").stderr
    assert len(versions("b")) == 1


@pytest.mark.parametrize(("command", "instead"), COMMANDS, ids=[row[0] for row in COMMANDS])
def test_every_command_of_the_table_is_there(command, instead):
    words = [word for word in command.split() if word.islower() and not word.startswith("-")]
    done = CliRunner().invoke(main, [*words, "--help"])
    assert done.exit_code == 0
    name = instead.split()[0]
    assert name in ("rustybt", "zipline")


def test_old_commands_are_not_in_the_help():
    listed = CliRunner().invoke(main, ["--help"]).output
    assert re.search(r"^  bundles ", listed, re.MULTILINE)
    assert not re.search(r"^  (bundle|clean|ingest-unified) ", listed, re.MULTILINE)
