"""An ingest that was killed goes on where it was; what it kept is checked before it is used."""

import signal
from datetime import UTC, datetime, timedelta

import pytest

from rustybt.data.bundles import _progress, list_bundles, open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from tests.data.bundles import writer
from tests.fakes import FrameSource
from tests.frames import sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-02-28")
SYMBOLS = [f"S{number}" for number in range(6)]
BARS = walk(SYMBOLS, DAYS)
EVENTS = splits(("S1", "2020-02-03", 0.5), ("S4", "2020-02-03", 0.25))
NOON = datetime(2020, 3, 10, 12, tzinfo=UTC)


class OneByOne(FrameSource):
    """A source that is asked symbol by symbol, remembers which, and may hang up at one."""

    batch_size = 1

    def __init__(self, hangs_up_at=None, bars=BARS, **facts):
        super().__init__(bars, EVENTS, symbols=("QUIET",), **facts)
        self.asked = []
        self._hangs_up_at = hangs_up_at

    async def fetch(self, symbols, start, end, frequency):
        if self._hangs_up_at in symbols:
            raise KeyboardInterrupt
        self.asked += symbols
        return await super().fetch(symbols, start, end, frequency)


def interrupted(**options):
    with pytest.raises(KeyboardInterrupt):
        ingest(OneByOne(hangs_up_at="S4"), "b", **{"clock": lambda: NOON, **options})


def again(source=None, **options):
    source = source or OneByOne()
    result = ingest(source, "b", **{"clock": lambda: NOON, **options})
    return source.asked, result


def progress_files(root):
    return sorted(path for path in (root / "rustybt/.progress").rglob("*") if path.is_file())


def test_what_was_fetched_is_not_fetched_again_and_the_version_is_the_same(zipline_root):
    interrupted()
    assert list_bundles() == []
    assert _progress.kept_symbols("b") == 5  # QUIET too was asked for, and has nothing
    asked, result = again()
    assert (asked, result.resumed) == (["S4", "S5"], 5)
    assert open_bundle("b").bars().equals(BARS)
    assert open_bundle("b").events.splits.equals(EVENTS.splits)
    whole = ingest(OneByOne(), "whole").metadata
    assert result.metadata.content_hash == whole.content_hash
    assert result.coverage.equals(open_bundle("whole").coverage)
    assert progress_files(zipline_root) == []


@pytest.mark.parametrize(
    "other",
    [
        {"symbols": SYMBOLS},
        {"start": DAYS[0], "end": DAYS[-1]},
        {"source": OneByOne(config={"account": "other"})},
    ],
    ids=["symbols", "dates", "source"],
)
def test_another_request_does_not_take_it(other):
    interrupted()
    asked, result = again(**other)
    assert set(asked) >= set(SYMBOLS)
    assert result.resumed == 0


@pytest.mark.parametrize("name", ["frames.bin", "deliveries.jsonl"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_what_was_kept_and_is_damaged_is_fetched_again(zipline_root, name, share, damage):
    interrupted()
    (path,) = (path for path in progress_files(zipline_root) if path.name == name)
    content = bytearray(path.read_bytes())
    place = int(share * len(content))
    if damage == "flip":
        content[place] ^= 0x10
    path.write_bytes(content if damage == "flip" else content[:place])
    _, result = again()
    assert result.resumed < 5
    assert open_bundle("b").bars().equals(BARS)
    assert open_bundle("b").events.splits.equals(EVENTS.splits)


def test_bars_that_may_have_been_revised_are_kept_for_a_day():
    interrupted()
    assert again(clock=lambda: NOON + timedelta(hours=25))[1].resumed == 0
    interrupted()
    assert again(clock=lambda: NOON + timedelta(hours=23))[1].resumed == 5


def test_bars_that_had_settled_are_kept_until_the_ingest_has_ended():
    span = {"start": DAYS[0], "end": DAYS[-1]}
    interrupted(**span)
    assert again(**span, clock=lambda: NOON + timedelta(days=300))[1].resumed == 5


def test_a_clock_that_was_set_back_makes_nothing_good():
    interrupted()
    assert again(clock=lambda: NOON - timedelta(days=1))[1].resumed == 0


def test_an_update_is_resumed_too():
    early = BARS.filter(BARS["timestamp"] < DAYS[-1])
    ingest(OneByOne(bars=early), "b", clock=lambda: NOON - timedelta(days=12))
    interrupted(update=True)
    asked, result = again(update=True)
    assert asked == ["S4", "S5"]
    assert open_bundle("b").bars().equals(BARS)
    assert result.resumed == 5


@pytest.mark.parametrize("share", [0.15, 0.4, 0.7])
def test_a_killed_process_loses_at_most_what_was_under_way(zipline_root, share):
    old = ingest(FrameSource(writer.old()), "b")
    taken = writer.start(writer.count_one_by_one, zipline_root / "other")[1].recv()
    process, _ = writer.start(writer.count_one_by_one, zipline_root, round(share * taken))
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert storage.versions("b") == [old.version]
    there = _progress.kept_symbols("b")
    source = writer.OneByOne(writer.new())
    result = ingest(source, "b")
    assert result.resumed == there
    assert len(source.asked) == 3 - there
    assert open_bundle("b").bars().equals(writer.new())
