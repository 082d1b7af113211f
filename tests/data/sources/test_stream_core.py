"""The decisions of a stream, handed the time: what is final, what was missed, in which order."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rustybt.data.bars import Bar, Frequency
from rustybt.data.errors import FrequencyError, MalformedAnswerError
from rustybt.data.sources._stream_core import Piece, Request, Rules, StreamCore, Tick
from rustybt.data.sources._stream_grid import SessionGrid, grid_of

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
OPEN = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
LAG = Rules(lag=5 * SECOND, published=5 * SECOND)


def at(minute: float) -> datetime:
    """An instant, in minutes after the start of these tests."""
    return OPEN + minute * MINUTE


def bar(minute: float, close: float = 10.0, *, final: bool = False, symbol: str = "A") -> Bar:
    """A bar that ends so many minutes after the start."""
    return Bar(symbol, at(minute), 10.0, max(10.0, close), min(10.0, close), close, 5.0, final)


def core_at(minute: float, rules: Rules = LAG, frequency: str = "1m") -> StreamCore:
    grid = grid_of(Frequency.parse(frequency), "XNYS")
    return StreamCore(grid, rules, {"A": grid.last_ended(at(minute))})


def connected(minute: float = 0, rules: Rules = LAG, frequency: str = "1m") -> StreamCore:
    core = core_at(minute, rules, frequency)
    core.connected(at(minute))
    return core


def finals(core: StreamCore) -> list[Bar]:
    return [each for each in core.drain() if each.final]


def test_a_bar_is_final_when_its_lag_has_passed():
    core = connected()
    core.take(bar(1), at(0.5))
    assert core.drain() == [bar(1)]
    core.advance(at(1) + 4 * SECOND)
    assert core.drain() == []
    assert core.deadline() == at(1) + 5 * SECOND
    core.advance(at(1) + 5 * SECOND)
    assert core.drain() == [bar(1, final=True)]


def test_a_bar_that_the_provider_closes_is_final_at_once():
    core = connected()
    core.take(bar(1, final=True), at(1))
    assert core.drain() == [bar(1, final=True)]


def test_the_next_bar_settles_the_one_before_on_an_ordered_feed():
    core = connected(rules=replace(LAG, ordered=True))
    core.take(bar(1), at(0.5))
    core.take(bar(2), at(1.1))
    assert core.drain() == [bar(1), bar(1, final=True), bar(2)]


def test_a_restated_bar_replaces_what_was_known_until_it_is_final():
    core = connected()
    core.take(bar(1, 10.0), at(1))
    core.take(bar(1, 11.0), at(1) + 2 * SECOND)
    core.advance(at(1.5))
    assert finals(core) == [bar(1, 11.0, final=True)]
    core.take(bar(1, 11.0), at(1.6))
    assert core.late == 0
    core.take(bar(1, 12.0), at(1.7))
    assert (core.drain(), core.late) == ([], 1)


def test_the_same_update_again_says_nothing_new():
    core = connected()
    for _ in range(3):
        core.take(bar(1), at(0.5))
    assert core.drain() == [bar(1)]


def test_updates_out_of_order_come_out_in_order():
    core = connected()
    core.take(bar(2), at(1) + SECOND)
    core.take(bar(1), at(1) + 2 * SECOND)
    core.advance(at(3))
    assert finals(core) == [bar(1, final=True), bar(2, final=True)]


def test_a_bar_that_comes_very_late_is_given_if_none_was_given_behind_it():
    core = connected()
    core.advance(at(5))
    core.take(bar(2), at(5))
    core.take(bar(1), at(5.1))
    assert (core.drain(), core.late) == ([bar(2, final=True)], 0)


def test_a_quiet_symbol_has_no_bar_and_asks_for_none():
    core = connected()
    core.advance(at(9))
    core.take(bar(10), at(10))
    core.advance(at(11))
    assert finals(core) == [bar(10, final=True)]
    assert core.requests(at(11)) == []


def test_a_bar_that_was_joined_midway_is_fetched():
    core = connected(0.5)
    core.take(bar(1), at(0.9))
    core.advance(at(1.5))
    (request,) = core.requests(at(1.5))
    assert request == Request(("A",), at(1), at(1))
    core.answered(request, [bar(1, 12.0, final=True)], at(1.5))
    assert finals(core) == [bar(1, 12.0, final=True)]
    assert core.fetched == 1


def test_a_bar_that_was_joined_midway_is_not_fetched_if_the_provider_closes_it():
    core = connected(0.5)
    core.take(bar(1, final=True), at(1))
    assert finals(core) == [bar(1, final=True)]
    assert core.requests(at(9)) == []


def test_what_was_missed_is_fetched_and_nothing_else():
    core = connected()
    core.take(bar(1, final=True), at(1))
    core.disconnected(at(1.5))
    core.connected(at(3.5))
    assert core.requests(at(3.6)) == [Request(("A",), at(2), at(3))]
    core.take(bar(5), at(4.5))
    core.answered(Request(("A",), at(2), at(3)), [bar(3, final=True)], at(4.6))
    assert core.requests(at(4.6)) == [Request(("A",), at(4), at(4))]
    core.answered(Request(("A",), at(4), at(4)), [bar(4, final=True)], at(4.7))
    core.advance(at(9))
    assert [each.timestamp for each in finals(core)] == [at(1), at(3), at(4), at(5)]
    assert core.requests(at(9)) == []


def test_what_was_seen_is_asked_for_again_until_fetch_has_it():
    core = connected(0.5)
    core.take(bar(1), at(0.9))
    (request,) = core.requests(at(1.2))
    core.answered(request, [], at(1.2))
    assert finals(core) == []
    assert core.deadline() == at(1.2) + 2 * SECOND
    (request,) = core.requests(at(1.3))
    core.answered(request, [bar(1, final=True)], at(1.3))
    assert finals(core) == [bar(1, final=True)]


def test_what_fetch_never_has_was_no_trade():
    core = connected(0.5)
    core.take(bar(1), at(0.9))
    asked = 0
    for minute in range(2, 20):
        for request in core.requests(at(minute)):
            core.answered(request, [], at(minute))
            asked += 1
    assert (finals(core), asked) == ([], 6)


def test_a_request_that_failed_is_made_again_after_a_while():
    core = core_at(0)
    (request,) = core.requests(at(2))
    core.failed(request.symbols, at(2), timedelta(seconds=30))
    assert core.requests(at(2.4)) == []
    assert core.deadline() == at(2.5)
    assert core.requests(at(2.5)) == [Request(("A",), at(1), at(2))]


def test_without_a_connection_every_bar_is_fetched():
    core = core_at(0)
    (request,) = core.requests(at(3.5))
    core.answered(request, [bar(1, final=True), bar(2, final=True)], at(3.5))
    assert (request.first, request.last, len(finals(core))) == (at(1), at(3), 2)


def test_a_feed_of_samples_gives_forming_bars_and_fetch_the_final_ones():
    core = connected(rules=replace(LAG, official=False))
    core.take(Tick("A", at(0.2), 10.0, 3.0), at(0.2))
    core.take(Tick("A", at(0.4), 11.0, 2.0), at(0.4))
    assert core.drain()[-1] == Bar("A", at(1), 10.0, 11.0, 10.0, 11.0, 5.0, False)
    core.advance(at(1.5))
    (request,) = core.requests(at(1.5))
    assert (request.first, request.last) == (at(1), at(1))
    core.answered(request, [bar(1, 12.0, final=True)], at(1.5))
    assert finals(core) == [bar(1, 12.0, final=True)]
    assert core.requests(at(5)) == []


def test_a_program_that_slept_fetches_what_it_may_have_missed():
    core = connected()
    core.take(bar(1), at(0.5))
    core.stalled(at(2.5))
    core.advance(at(2.5))
    assert finals(core) == []
    assert core.requests(at(2.5)) == [Request(("A",), at(1), at(2))]


def test_many_bars_are_fetched_a_few_thousand_at_a_time():
    core = StreamCore(grid_of(Frequency.parse("1m"), "24/7"), LAG, {"A": at(-12_000)})
    (request,) = core.requests(at(0))
    assert request.last - request.first == 4_999 * MINUTE


def test_bars_that_wait_for_an_answer_do_not_pile_up():
    core = connected(0.5)
    for minute in range(1, 2_000):
        core.take(bar(minute), at(minute))
        assert len(core._lanes["A"].open) <= 500
    (request,) = core.requests(at(2_001))
    core.answered(request, [bar(minute, final=True) for minute in range(1, 2_000)], at(2_001))
    core.advance(at(2_001))
    assert [each.timestamp for each in finals(core)] == [at(minute) for minute in range(1, 2_000)]


def test_finer_bars_make_a_coarser_one_and_restate_it():
    core = connected(frequency="5m")
    core.take(Piece(bar(1, 12.0)), at(1))
    core.take(Piece(bar(2, 9.0)), at(2))
    core.take(Piece(bar(1, 11.0)), at(2.1))
    core.advance(at(6))
    assert finals(core) == [Bar("A", at(5), 10.0, 11.0, 9.0, 9.0, 10.0, True)]


def test_a_tick_on_the_boundary_begins_a_bar_and_a_piece_on_it_ends_one():
    core = connected(frequency="5m")
    core.take(Tick("A", at(5), 10.0, 1.0), at(5))
    core.take(Piece(bar(5)), at(5))
    assert [each.timestamp for each in core.drain()] == [at(10), at(5)]


def test_a_daily_bar_lasts_from_the_open_to_the_close():
    core = StreamCore(SessionGrid("XNYS"), LAG, {"A": date(2024, 3, 4)})
    core.connected(at(-60))
    session = replace(bar(0), timestamp=date(2024, 3, 5))
    core.take(Tick("A", at(-10), 9.0, 1.0), at(-10))
    core.take(Tick("A", at(10), 10.0, 5.0), at(10))
    core.take(Piece(bar(391)), at(391))
    assert core.deadline() == datetime(2024, 3, 5, 21, 0, 5, tzinfo=UTC)
    core.advance(at(400))
    assert finals(core) == [replace(session, final=True)]


@pytest.mark.parametrize(
    ("session", "before", "after"),
    [
        (date(2024, 12, 31), date(2024, 12, 30), date(2025, 1, 2)),
        (date(2024, 3, 4), date(2024, 3, 1), date(2024, 3, 5)),
    ],
)
def test_sessions_follow_the_calendar(session, before, after):
    grid = SessionGrid("XNYS")
    assert (grid.before(session), grid.after(session)) == (before, after)
    assert grid.last_ended(grid.end(session)) == session
    assert grid.last_ended(grid.end(session) - SECOND) == before
    assert grid.holding(grid.start(session)) == session
    assert grid.holding(grid.end(session)) is None


@pytest.mark.parametrize(
    ("frequency", "sessions_only"), [("1w", False), ("7m", False), ("7h", False), ("4h", True)]
)
def test_bars_whose_beginning_is_a_matter_of_opinion_do_not_stream(frequency, sessions_only):
    with pytest.raises(FrequencyError, match=f"{frequency} do not stream"):
        grid_of(Frequency.parse(frequency), "XNYS", sessions_only=sessions_only)


@pytest.mark.parametrize(
    ("minute", "frequency", "label"),
    [
        (0, "1m", None),  # a minute that ends at the open
        (1, "1m", at(1)),
        (390, "1m", at(390)),
        (391, "1m", None),
        (1, "1h", at(30)),  # half an hour of the session lies in that hour
        (391, "1h", None),
    ],
)
def test_what_is_traded_outside_the_session_is_left_alone(minute, frequency, label):
    grid = grid_of(Frequency.parse(frequency), "XNYS", sessions_only=True)
    assert grid.holding_piece(at(minute)) == label
    assert grid.holding(at(minute - 0.5)) == label
    if frequency == "1m":
        assert grid.has(at(minute)) == (label is not None)


@pytest.mark.parametrize("wrong", [{"low": 11.0}, {"close": float("nan")}, {"volume": -1.0}])
def test_a_bar_that_cannot_be_true_is_a_malformed_answer(wrong):
    with pytest.raises(MalformedAnswerError, match="A 2024"):
        connected().take(replace(bar(1), **wrong), at(1))


def test_symbols_that_nobody_asked_for_are_left_alone():
    core = connected()
    core.take(bar(1, symbol="Z"), at(1))
    assert core.drain() == []


@pytest.mark.parametrize(
    ("frequency", "label", "following"),
    [
        ("1m", at(390), at(24 * 60 + 1)),
        ("1m", at(0), at(1)),
        ("1h", at(390), at(24 * 60 + 30)),
        ("30m", at(30), at(60)),
    ],
)
def test_the_bar_after_the_close_is_the_first_of_the_next_session(frequency, label, following):
    grid = grid_of(Frequency.parse(frequency), "XNYS", sessions_only=True)
    assert grid.after(label) == following


def test_while_the_market_is_closed_nothing_is_fetched():
    rules = replace(LAG, sessions_only=True)
    grid = grid_of(Frequency.parse("1m"), "XNYS", sessions_only=True)
    core = StreamCore(grid, rules, {"A": at(390)})
    assert core.requests(at(800)) == []
    assert core.deadline() == at(24 * 60 + 1) + 5 * SECOND


@dataclass
class World:
    """A market, its feed with its cuts and delays, and a source that is slow and fails."""

    truth: dict[tuple[str, int], float]
    cuts: list[tuple[int, int]]
    delays: list[int]
    failures: list[bool]
    rules: Rules
    closes: bool
    asked: list[Request] = field(default_factory=list)

    MINUTES = 6

    def updates(self) -> Iterator[tuple[int, Bar]]:
        """(second of arrival, update); each bar is seen forming, ended, and once more."""
        for number, ((symbol, minute), close) in enumerate(sorted(self.truth.items())):
            whole = bar(minute, close, symbol=symbol)
            delay = self.delays[number % len(self.delays)] if not self.closes else 1
            yield minute * 60 - 30, replace(whole, close=10.0, high=10.0, low=10.0)
            yield minute * 60 + delay, replace(whole, final=self.closes)
            yield minute * 60 + 4, replace(whole, final=self.closes)

    def is_up(self, second: int) -> bool:
        return not any(first <= second < last for first, last in self.cuts)

    def run(self) -> list[Bar]:
        grid = grid_of(Frequency.parse("1m"), "XNYS")
        core = StreamCore(grid, self.rules, {"A": at(0), "B": at(0)})
        arrivals = sorted(self.updates(), key=lambda each: each[0])
        given, answers, up = [], [], False
        for second in range(1, self.MINUTES * 60 + 400):
            now = at(second / 60)
            if up != self.is_up(second):
                up = not up
                (core.connected if up else core.disconnected)(now)
            for _, update in [each for each in arrivals if each[0] == second and up]:
                core.take(update, now)
            core.advance(now)
            answers += [(second + 3, request) for request in core.requests(now)]
            for _, request in [each for each in answers if each[0] == second]:
                self._answer(core, request, now)
            given += core.drain()
        return given

    def _answer(self, core: StreamCore, request: Request, now: datetime) -> None:
        self.asked.append(request)
        if self.failures and self.failures.pop():
            core.failed(request.symbols, now, 7 * SECOND)
            return
        bars = [
            bar(minute, close, final=True, symbol=symbol)
            for (symbol, minute), close in self.truth.items()
            if symbol in request.symbols and request.first <= at(minute) <= request.last
        ]
        core.answered(request, bars, now)


KEYS = st.tuples(st.sampled_from("AB"), st.integers(1, World.MINUTES))
CUTS = st.tuples(st.integers(0, World.MINUTES * 60 + 30), st.integers(1, 150))


@given(
    st.dictionaries(KEYS, st.sampled_from([9.0, 10.0, 11.0])),
    st.lists(CUTS.map(lambda cut: (cut[0], cut[0] + cut[1])), max_size=4),
    st.lists(st.integers(0, 4), min_size=1, max_size=5),
    st.lists(st.booleans(), max_size=4),
    st.sampled_from([("clock", LAG), ("closed", LAG), ("samples", replace(LAG, official=False))]),
)
def test_final_bars_have_no_gap_and_no_duplicate_wherever_the_feed_is_cut(
    truth, cuts, delays, failures, mode
):
    world = World(truth, cuts, delays, failures, mode[1], mode[0] == "closed")
    given = [each for each in world.run() if each.final]
    for symbol in "AB":
        expected = sorted(
            (minute, close) for (name, minute), close in truth.items() if name == symbol
        )
        assert [each for each in given if each.symbol == symbol] == [
            bar(minute, close, final=True, symbol=symbol) for minute, close in expected
        ]
