"""The request budget: windows, pauses, clocks that jump, damage, and what it costs the loop."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from rustybt.data.errors import RateLimitError, SourceError
from rustybt.data.sources._budget import Budget, Rate
from tests.clocks import SkippingClock

TWO_IN_TEN = [Rate(2, 10)]
START = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture
def clock():
    return SkippingClock(START)


@pytest.fixture
def make(tmp_path, clock):
    def made(rates=TWO_IN_TEN, **options):
        given = {"directory": tmp_path, "clock": clock, "sleep": clock.sleep}
        return Budget("test", rates, **(given | options))

    return made


def spend(budget, times, cost=1.0):
    """Take, and settle at once; the seconds after the start at which each was granted."""

    async def each():
        granted = []
        for _ in range(times):
            await budget.settle(await budget.take(cost))
            granted.append((budget._clock() - START).total_seconds())
        return granted

    return asyncio.run(each())


def test_a_window_never_holds_more_than_its_rate(make):
    assert spend(make(), 5) == pytest.approx([0, 0, 10, 10, 20], abs=1e-3)


def test_all_rates_hold_at_once(make):
    granted = spend(make([Rate(1, 1), Rate(3, 10)]), 7)
    assert granted == pytest.approx([0, 1, 2, 10, 11, 12, 20], abs=1e-3)


def test_a_dear_request_takes_more(make):
    assert spend(make([Rate(5, 10)]), 4, cost=2.0) == pytest.approx([0, 0, 10, 10], abs=1e-3)


def test_one_that_is_dearer_than_the_rate_has_a_window_to_itself(make):
    assert spend(make(), 3, cost=9.0) == pytest.approx([0, 10, 20], abs=1e-3)


def test_a_request_counts_from_the_moment_that_its_answer_began(make, clock):
    budget = make()

    async def slowly():
        for _ in range(2):
            receipt = await budget.take()
            await clock.sleep(3)
            await budget.settle(receipt)
        await budget.take()

    asyncio.run(slowly())
    assert clock() - START == timedelta(seconds=13)


def test_one_that_was_never_settled_counts_as_one_that_is_late(make, clock):
    async def killed():
        for _ in range(3):
            await make().take()

    asyncio.run(killed())
    assert clock() - START == timedelta(seconds=15)


def test_two_of_one_name_share_it_and_of_two_credentials_do_not(make):
    assert spend(make(), 2) == [0, 0]
    assert spend(make(credential="other"), 2) == [0, 0]
    assert spend(make(), 1) == pytest.approx([10], abs=1e-3)


def test_a_pause_holds_for_everybody(make, clock):
    asyncio.run(make([]).pause(30))
    assert spend(make(), 1) == pytest.approx([30])
    assert spend(make([]), 1) == pytest.approx([30])


@pytest.mark.parametrize("seconds", [1e9, float("inf")])
def test_no_pause_is_longer_than_a_day(make, clock, seconds):
    asyncio.run(make().pause(seconds))
    clock.now += timedelta(days=1)
    assert spend(make(), 1) == [86_400]


def test_more_than_patience_is_an_error_that_says_until_when(make):
    budget = make([Rate(1, 3600)], patience=60)
    with pytest.raises(RateLimitError, match="2024-01-02 01:00:00 UTC") as caught:
        spend(budget, 2)
    assert caught.value.retry_after == pytest.approx(3600)


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(hours=-1)])
def test_a_clock_that_goes_back_costs_one_window_at_most(make, clock, jump):
    spend(make(), 2)
    asyncio.run(make().pause(10))
    clock.now += jump
    spend(make(), 1)
    assert sum(clock.slept) == pytest.approx(10, abs=1e-3)


def test_a_clock_that_goes_forward_is_time_that_passed(make, clock):
    spend(make(), 2)
    clock.now += timedelta(days=400)
    spend(make(), 1)
    assert clock.slept == []


def rename_a_column(path):
    with sqlite3.connect(path) as state:
        state.execute("ALTER TABLE takes RENAME COLUMN cost TO price")
    state.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not a database" * 99),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        rename_a_column,
    ],
)
def test_damaged_state_is_replaced_and_costs_the_shortest_window(make, clock, damage):
    budget = make([Rate(2, 10), Rate(50, 86400)])
    spend(budget, 2)
    damage(budget.path)
    spend(budget, 1)
    assert clock.slept == pytest.approx([10], abs=1e-3)


def test_a_folder_that_cannot_be_written_is_named(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match=r"budget of test cannot be kept in .*file"):
        spend(make(directory=tmp_path / "file"), 1)


def test_what_was_taken_long_ago_is_forgotten(make, clock):
    budget = make([Rate(1000, 1)])
    spend(budget, 20)
    clock.now += timedelta(seconds=10)
    spend(budget, 1)
    with sqlite3.connect(budget.path) as state:
        assert state.execute("SELECT count(*) FROM takes").fetchone() == (1,)
    state.close()


def test_the_loop_runs_while_another_process_writes(make):
    budget = make()
    spend(budget, 1)
    other = sqlite3.connect(budget.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def waiting():
        taking = asyncio.create_task(budget.take())
        turns = [asyncio.get_running_loop().time() for _ in range(50) if not await asyncio.sleep(0)]
        assert not taking.done()
        other.execute("ROLLBACK")
        await taking
        return max(later - earlier for earlier, later in pairwise(turns))

    assert asyncio.run(waiting()) < 1
    other.close()
