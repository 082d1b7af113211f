"""``rustybt cache``: tables for people, JSON for programs."""

import json
from pathlib import Path

import pytest

RANGE = ("--start", "2020-01-02", "--end", "2020-02-28")


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    """The cache's directory, named by the environment."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("RUSTYBT_CACHE", str(directory))
    return directory


@pytest.fixture
def warm(invoke, prices, cache_dir):
    """AAA and BBB of `prices` are cached."""
    request = ("--option", f"path={prices}", "--symbols", "AAA,BBB", *RANGE)
    done = invoke("cache", "warm", "csv", *request)
    assert done.exit_code == 0, done.output
    assert "80 bars fetched, 0 were there" in done.stdout
    return request


def as_json(invoke, *args):
    done = invoke("cache", *args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_was_warmed_is_there_the_next_time(invoke, warm):
    done = invoke("cache", "warm", "csv", *warm)
    assert "0 bars fetched, 80 were there" in done.stdout


def test_stats_count(invoke, warm, cache_dir):
    invoke("cache", "warm", "csv", *warm)
    found = as_json(invoke, "stats")
    assert (found["path"], found["segments"], found["series"]) == (str(cache_dir), 1, 4)
    assert (found["stats"]["hits"], found["stats"]["misses"], found["hit_rate"]) == (1, 1, 0.5)
    assert found["stats"]["fetches"] == 1  # of bars and events together
    text = invoke("cache", "stats").stdout
    assert "50.0% of 2 requests" in text
    assert "kB in 1 files" in text


def test_a_cache_that_was_never_used_is_empty_and_stays_so(invoke, cache_dir):
    assert as_json(invoke, "stats")["bytes"] == 0
    assert as_json(invoke, "list") == []
    assert "not used yet" in invoke("cache", "stats").stdout
    assert "Nothing of that is cached" in invoke("cache", "list").stdout
    assert "0 bytes freed" in invoke("cache", "prune").stdout
    assert not cache_dir.exists()


def test_a_list_says_what_is_covered(invoke, warm):
    bars = [each for each in as_json(invoke, "list") if each["frequency"] == "1d"]
    assert [(b["symbol"], b["first"], b["last"], b["rows"]) for b in bars] == [
        ("AAA", "2020-01-02", "2020-02-28", 40),
        ("BBB", "2020-01-02", "2020-02-28", 40),
    ]
    text = invoke("cache", "list", "--symbols", "BBB").stdout
    assert "BBB" in text
    assert "AAA" not in text


def test_damage_is_found_and_forgotten(invoke, warm, cache_dir):
    assert "1 file: every byte is what was written." in invoke("cache", "verify").stdout
    (path,) = cache_dir.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    done = invoke("cache", "verify")
    assert done.exit_code == 1
    assert path.name in done.stderr
    assert invoke("cache", "verify").exit_code == 0
    assert "80 bars fetched" in invoke("cache", "warm", "csv", *warm).stdout


@pytest.mark.parametrize(
    ("args", "left"),
    [
        (("--max-size", "10GB"), 80),
        (("--max-size", "1kB"), 0),
        (("--before", "2020-01-01"), 80),
        (("--before", "2100-01-01"), 0),
        ((), 80),
    ],
)
def test_pruning_makes_room(invoke, warm, args, left):
    freed = as_json(invoke, "prune", *args)["freed_bytes"]
    assert (freed == 0) == (left == 80)
    assert sum(each["rows"] for each in as_json(invoke, "list")) == left


@pytest.mark.parametrize(
    ("args", "left"),
    [
        ((), set()),
        (("--symbols", "AAA"), {"BBB"}),
        (("--source", "csv"), set()),
        (("--source", "yfinance"), {"AAA", "BBB"}),
    ],
)
def test_clearing_forgets_what_was_chosen(invoke, warm, args, left):
    invoke("cache", "clear", *args, "--yes")
    assert {each["symbol"] for each in as_json(invoke, "list") if each["rows"]} == left


def test_clearing_asks_first(invoke, warm):
    assert invoke("cache", "clear").exit_code == 1
    assert as_json(invoke, "stats")["segments"] == 1


def test_no_restatement_is_said(invoke, warm):
    assert as_json(invoke, "restatements") == []
    assert "No restatement" in invoke("cache", "restatements").stdout


def test_symbols_that_fail_are_said(invoke, prices, cache_dir):
    done = invoke(
        "cache", "warm", "csv", "--option", f"path={prices}", "--symbols", "AAA,NO", *RANGE
    )
    assert done.exit_code == 1
    assert "NO: " in done.stderr


def test_an_ingest_through_the_cache_finds_what_is_there(invoke, warm, prices, cache_dir):
    before = as_json(invoke, "stats")["stats"]["hits"]
    done = invoke("ingest", "csv", prices, "--bundle", "small", "--cache", *RANGE)
    assert done.exit_code == 0, done.output
    after = as_json(invoke, "stats")["stats"]
    assert after["hits"] == before + 1
    assert Path(json.loads(invoke("bundles", "info", "small", "--json").stdout)["path"]).is_dir()


@pytest.mark.parametrize("size", ["much", "10 PB", "-1"])
def test_a_size_that_is_none_is_a_mistake(invoke, cache_dir, size):
    assert invoke("cache", "prune", "--max-size", size).exit_code == 2


@pytest.mark.parametrize(("args", "left"), [((), 0), (("--max-size", "10GB"), 80)])
def test_the_old_name_still_works_and_says_that_it_goes(invoke, warm, args, left):
    done = invoke("cache", "clean", *args)
    assert "deprecated" in done.stderr
    assert sum(each["rows"] for each in as_json(invoke, "list")) == left
