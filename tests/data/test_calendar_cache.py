"""Calendars come from the disk as they were computed, and from nowhere else."""

import hashlib
import pickle
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from exchange_calendars import calendar_utils

from rustybt.data._calendar_cache import cached_calendar

FACTORIES = calendar_utils.global_calendar_dispatcher._calendar_factories
START, END = date(2018, 1, 1), date(2021, 12, 31)


def made(name: str, directory: Path) -> Any:
    return cached_calendar(FACTORIES[name], START, END, directory=directory)


def same(one: Any, other: Any) -> bool:
    pd.testing.assert_frame_equal(one.schedule, other.schedule, check_freq=True)
    assert one.sessions.freq == other.sessions.freq
    assert one.minutes.equals(other.minutes)
    assert one.early_closes.equals(other.early_closes)
    return type(one) is type(other) and one.side == other.side


@pytest.mark.parametrize("name", ["XNYS", "XLON", "XHKG", "24/7", "XTAE", "CMES"])
def test_what_is_read_is_what_was_computed(name, tmp_path):
    computed = FACTORIES[name](start=pd.Timestamp(START), end=pd.Timestamp(END), side="right")
    first, second = made(name, tmp_path), made(name, tmp_path)
    assert first is not second
    assert same(first, computed)
    assert same(second, computed)


def test_a_calendar_of_somebody_else_is_computed(tmp_path):
    class Own(FACTORIES["XNYS"]):
        pass

    cached_calendar(Own, START, END, directory=tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_bounds_are_another_file(tmp_path):
    made("XNYS", tmp_path)
    cached_calendar(FACTORIES["XNYS"], START, date(2022, 12, 30), directory=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:40],
        lambda content: b"",
        lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
    ],
    ids=["one byte short", "cut", "empty", "one bit"],
)
def test_a_damaged_file_is_computed_again(damage, tmp_path, caplog):
    computed = made("XLON", tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert same(made("XLON", tmp_path), computed)
    assert str(path) in caplog.text
    assert same(made("XLON", tmp_path), computed)
    assert len(caplog.records) == 1, "the file was mended"


class Mischief:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "content",
    [
        Mischief(Path.touch, (Path("mischief"),)),
        Mischief(getattr, (pd.DataFrame, "to_pickle")),
    ],
    ids=["another function", "a method of what is known"],
)
def test_a_file_runs_nothing_but_what_a_calendar_is_made_of(content, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "calendars"
    computed = made("XLON", directory)
    (path,) = directory.iterdir()
    body = pickle.dumps({"schedule": content})
    path.write_bytes(hashlib.sha256(body).digest() + body)
    assert same(made("XLON", directory), computed)
    assert not Path("mischief").exists()
    assert "cannot be read" in caplog.text


def test_where_nothing_can_be_written_it_is_computed(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    assert same(made("XLON", blocked), made("XLON", tmp_path / "calendars"))


def test_writers_at_once_leave_one_whole_file(tmp_path):
    threads = [threading.Thread(target=made, args=("XLON", tmp_path)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(tmp_path.iterdir())) == 1
    assert same(made("XLON", tmp_path), made("XLON", tmp_path / "other"))
