"""The journal of a bundle that is streamed into: whole or nothing, whoever is killed when."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest

from rustybt.data.bars import Bar
from rustybt.data.bundles import storage
from rustybt.data.bundles.journal import Head, Journal, open_journal, read_tail
from rustybt.data.errors import BundleLockedError, OptionError

OPEN = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
HEAD = Head("1m", "frame", "abc", {"A": OPEN, "B": OPEN})
PATH = "live/journal.jsonl"


def bar(minute: int, symbol: str = "A", *, final: bool = True) -> Bar:
    moment = OPEN + timedelta(minutes=minute)
    return Bar(symbol, moment, 10.1, 11.0, 9.0, 10.5, 1e-7, final)


@contextmanager
def journal(head: Head = HEAD) -> Iterator[Journal]:
    with open_journal("live", head, os.environ) as opened:
        yield opened


def tail() -> list[Bar]:
    return [Bar(**row) for row in read_tail("live").iter_rows(named=True)]


def test_a_bundle_that_nobody_streams_into_has_no_tail():
    assert read_tail("live").is_empty()


def test_bars_are_read_back_while_they_are_written():
    with journal() as j:
        j.append([bar(1), bar(1, "B")])
        j.show([bar(2, final=False)])
        assert tail() == [bar(1), bar(2, final=False), bar(1, "B")]
        j.append([bar(2)])
        assert tail() == [bar(1), bar(2), bar(1, "B")]


def test_what_was_shown_forming_does_not_outlive_the_final_bar():
    with journal() as j:
        j.show([bar(1, final=False)])
        j.append([bar(1)])
        assert tail() == [bar(1)]
        j.forget(j.finals(), {})
        assert tail() == []


def test_sessions_are_read_back_as_sessions():
    daily = Bar("A", date(2024, 3, 5), 10.0, 11.0, 9.0, 10.5, 100.0, True)
    with journal(Head("1d", "frame", "abc", {})) as j:
        j.append([daily])
        assert tail() == [daily]
        assert j.last() == {"A": date(2024, 3, 5)}


def test_a_line_that_was_torn_is_left_out_and_cut_off():
    with journal() as j:
        j.append([bar(1), bar(2)])
    path = storage.bundle_path("live") / PATH
    content = path.read_bytes()
    for end in range(content.index(b"\n") + 1, len(content)):
        path.write_bytes(content[:end])
        whole = [bar(n + 1) for n in range(content[:end].count(b"\n") - 1)]
        assert tail() == whole
        with journal() as j:
            j.append([bar(3)])
        assert tail() == [*whole, bar(3)]


def test_a_journal_is_continued_behind_its_last_bars():
    with journal() as j:
        j.append([bar(1), bar(2)])
    with journal(Head("1m", "frame", "abc", {"A": bar(9).timestamp, "C": OPEN})) as j:
        assert j.last() == {"A": bar(2).timestamp, "B": OPEN, "C": OPEN}


def test_what_a_version_has_leaves_and_the_rest_stays():
    with journal() as j:
        j.append([bar(1), bar(2), bar(1, "B")])
        confirmed = j.finals()
        j.append([bar(3)])
        j.forget(confirmed, {"A": bar(2).timestamp})
        assert tail() == [bar(3)]
        j.append([bar(4)])
        assert tail() == [bar(3), bar(4)]
        assert j.last() == {"A": bar(4).timestamp, "B": bar(1).timestamp}
    with journal() as j:
        assert j.head.confirmed == {"A": bar(2).timestamp}


def test_a_second_writer_is_told_who_the_first_is():
    with (
        journal(),
        pytest.raises(BundleLockedError, match=f"streamed into by process {os.getpid()}"),
        journal(),
    ):
        pass


def test_versions_can_be_written_while_bars_are_streamed():
    with journal(), storage.new_version("live") as draft:
        (draft.path / "file").touch()
    assert storage.versions("live") != []


def test_other_bars_are_refused_until_these_are_confirmed():
    with journal() as j:
        j.append([bar(1)])
    with pytest.raises(OptionError, match="1m bars of frame"), journal(Head("5m", "x", "d", {})):
        pass
