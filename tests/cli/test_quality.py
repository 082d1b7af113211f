import json
from pathlib import Path

import pytest

from tests.cli.helpers import SESSIONS, Invoke, bar, rows


@pytest.fixture
def doubtful(invoke: Invoke, tmp_path: Path) -> str:
    """A bundle whose AAA halves without a split, lacks two sessions, and has a day unsold."""
    table = rows()
    table[10] = bar(SESSIONS[9], 11.0)
    table[20] = table[20].replace("1000000", "0")
    file = tmp_path / "AAA.csv"
    file.write_text("\n".join(table[:4] + table[6:]))
    assert invoke("ingest", "csv", file, "--bundle", "doubtful").exit_code == 0
    return "doubtful"


def test_what_is_missing_and_doubtful_is_listed(invoke: Invoke, doubtful: str) -> None:
    shown = invoke("quality", doubtful)
    assert shown.exit_code == 0
    assert f"2 days of 1 symbol (no bar in the source): AAA {SESSIONS[3]}" in shown.stdout
    assert "split_like_jump" in shown.stdout
    assert "zero_volume" in shown.stdout
    assert "all checksums are those that were written" in shown.stdout


def test_json_has_every_finding(invoke: Invoke, doubtful: str) -> None:
    record = json.loads(invoke("quality", doubtful, "--limit", "0", "--json").stdout)
    rules = {finding["rule"] for finding in record["findings"]}
    assert rules == {"split_like_jump", "zero_volume", "gap"}
    assert record["coverage"][0]["sessions"] == 2
    assert 0.8 < record["quality_score"] < 0.95


def test_limit_cuts_the_lists_and_says_so(invoke: Invoke, doubtful: str) -> None:
    shown = invoke("quality", doubtful, "--limit", "1").stdout
    assert "more (--limit" in shown


@pytest.mark.parametrize(("score", "code"), [("0.5", 0), ("0.99", 1), ("1.5", 2), ("x", 2)])
def test_fail_under_sets_the_exit_code(
    invoke: Invoke, doubtful: str, score: str, code: int
) -> None:
    done = invoke("quality", doubtful, "--fail-under", score)
    assert done.exit_code == code
    assert ("below 0.99" in done.stderr) == (code == 1)


def test_a_byte_that_flipped_under_an_unchanged_time_is_found(
    invoke: Invoke, bundle: str, version: Path
) -> None:
    import os

    victim = next((version / "daily").glob("*.parquet"))
    before, data = victim.stat(), bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = invoke("quality", bundle)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"Error: {victim} is damaged" in done.stderr
