"""The suite for sources that ask a provider: the truth through every fault, or the right error."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from rustybt.data.adjustments import Events, adjust, price_ratios
from rustybt.data.bars import PRICE_COLUMNS
from rustybt.data.errors import (
    AuthenticationError,
    BarValidationError,
    DelistedSymbolError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    UnknownSymbolError,
)
from rustybt.data.sources._kit.faults import PAGE_FAULTS, Fault, Injection, Scene
from rustybt.data.sources._kit.provider import Provider
from rustybt.data.sources._kit.server import LoopbackServer
from rustybt.data.sources._kit.suite import DataSourceTests, run
from rustybt.data.sources._kit.world import (
    FIRST,
    INTRADAY_DAYS,
    LAST,
    SPLIT_DAY,
    World,
    make_world,
)
from rustybt.data.sources.base import DataSource, Fetched

Errors = tuple[type[RustyBTError], ...]

#: A source that notices says that the answer, or the bars, cannot be right.
_NOTICED: Errors = (MalformedAnswerError, BarValidationError)
#: Fault -> what a source may raise while it lasts. A source that raises nothing returns the truth.
LASTING: Mapping[Fault, Errors] = {
    Fault.SHORT_PAGE: (),
    Fault.EMPTY_PAGE: _NOTICED,
    Fault.DUPLICATE_ROW: _NOTICED,
    Fault.DUPLICATE_PAGE: _NOTICED,
    Fault.REVERSED_PAGE: _NOTICED,
    Fault.STUCK_CURSOR: _NOTICED,
    Fault.ERROR_BODY: (
        AuthenticationError, MalformedAnswerError, OutageError, RateLimitError, RefusedRequestError
    ),
    Fault.RATE_LIMITED: (RateLimitError,),
    Fault.RETRY_AT_ONCE: (RateLimitError,),
    Fault.RETRY_TOMORROW: (RateLimitError,),
    Fault.UNAUTHORISED: (AuthenticationError,),
    Fault.OUTAGE: (OutageError,),
    Fault.SLOW_BODY: (),
    Fault.STALLED_BODY: (OutageError,),
    Fault.CUT_BODY: (OutageError, MalformedAnswerError),
    Fault.TRUNCATED_BODY: (MalformedAnswerError, OutageError),
    Fault.HTML_BODY: (MalformedAnswerError, OutageError),
    Fault.EMPTY_BODY: (MalformedAnswerError, OutageError),
}  # fmt: skip
#: Faults that pass: the source asks again, or says what happened.
PASSING = tuple(fault for fault in LASTING if fault not in PAGE_FAULTS | {Fault.SLOW_BODY})
#: Faults that strike one page; as a lasting one, a fault of pages strikes them all.
_ONE_PAGE = {Fault.EMPTY_PAGE, Fault.DUPLICATE_PAGE}


class ProviderTests(DataSourceTests):
    """What holds for every source that asks a provider, while the provider misbehaves.

    Attributes
    ----------
    provider : type of Provider
        Renders the world in the provider's format.
    symbols, others, delisted : str
        What there is, in the source's spelling: two symbols whose bars are compared, the first
        with a split and dividends, four others, and one that is delisted.
    intraday : str
        A frequency that divides the session.
    page_size : int
        Rows of a page in the tests of pages.
    dividend_dates : tuple of str
        Which of a dividend's further dates the source knows: ``record_date``, ``pay_date``.
    not_applicable : mapping of Fault or Scene to str
        What the provider cannot do, and why; it is skipped.
    server : LoopbackServer
        Serves the world while a test runs.
    """

    provider: ClassVar[type[Provider]]
    symbols: ClassVar[tuple[str, ...] | list[str]] = ("AAPL", "MSFT")
    others: ClassVar[tuple[str, str, str, str]] = ("IBM", "KO", "GE", "F")
    delisted: ClassVar[str] = "TWTR"
    start: ClassVar[Any] = FIRST
    end: ClassVar[Any] = LAST
    intraday: ClassVar[str] = "15m"
    page_size: ClassVar[int] = 50
    dividend_dates: ClassVar[tuple[str, ...]] = ("record_date", "pay_date")
    not_applicable: ClassVar[Mapping[Fault | Scene, str]] = {}
    server: LoopbackServer

    def source_at(self, base_url: str) -> DataSource:
        """A new source, for a provider at this URL.

        Make it with `secret`, with `clock` as the clock that tells which bars have ended (budgets
        and pauses go by the machine's), without a limit of its own on the rate, with no or the
        shortest waits before it asks again, and with a timeout of about a second.
        """
        raise NotImplementedError("source_at(base_url) returns the source under test")

    @property
    def secret(self) -> str:
        """The credential to make sources with."""
        return self.provider.secret

    def clock(self) -> datetime:
        """The world's time."""
        return self.world.now

    @property
    def world(self) -> World:
        """The truth, as of now."""
        return self.server.provider.world

    def make_world(self) -> World:
        """The truth at the beginning of a test."""
        events = Scene.EVENTS not in self.not_applicable
        everyone = (*self.symbols, *self.others, self.delisted)
        return make_world(everyone, self.calendar, self.intraday, events=events)

    @pytest.fixture(autouse=True)
    def _serve(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        with LoopbackServer(self.provider(self.make_world())) as self.server:
            self.events = self._known_events()
            yield
        assert not self.server.errors, self.server.errors[0]

    def _known_events(self) -> Events:
        hidden = [n for n in ("record_date", "pay_date") if n not in self.dividend_dates]
        events = self.world.events
        dividends = events.dividends.with_columns(pl.lit(None, pl.Date).alias(n) for n in hidden)
        return replace(events, dividends=dividends)

    def make_source(self) -> DataSource:
        """A source that asks the server of this test."""
        return self.source_at(self.server.base_url)

    def expected(self) -> pl.DataFrame:
        """Daily bars from the world."""
        return self.world.expected(self.symbols, self.frequency)

    def truth(self, symbol: str, frequency: str = "1d") -> pl.DataFrame:
        """The true bars of one symbol."""
        return self.world.expected([symbol], frequency)

    def fetch_available(self, symbols: list[str], **changes: Any) -> Fetched:
        """What a new source has for the described request, some of it changed."""
        request = {"start": self.start, "end": self.end, "frequency": self.frequency}
        return run(self.make_source().fetch_available(symbols, **(request | changes)))

    def require(self, applicable: Fault | Scene) -> None:
        """Skip the test, with the reason, where the provider does not do this."""
        if applicable in self.not_applicable:
            pytest.skip(f"{applicable.value}: {self.not_applicable[applicable]}")

    def assert_secret(self, *told: object) -> None:
        """The credential stands in none of these."""
        for each in told:
            assert self.secret not in f"{each} {each!r}", "the credential is told"

    # What a provider does to the bars.

    @pytest.mark.parametrize("fault", LASTING)
    def test_a_lasting_fault_gives_the_truth_or_its_error(self, fault: Fault) -> None:
        """Never other bars than the true ones."""
        self.require(fault)
        if fault in PAGE_FAULTS:
            self.require(Scene.PAGES)
            self.server.provider.page_size = self.page_size
        once = fault in _ONE_PAGE
        self.inject(Injection(fault, first=2 if once else 1, last=2 if once else None))
        self._truth_or(fault, must_fail=bool(LASTING[fault]) and fault not in PAGE_FAULTS)

    @pytest.mark.parametrize("fault", PASSING)
    def test_a_passing_fault_gives_the_truth_or_its_error(self, fault: Fault) -> None:
        """It strikes the first request of a symbol."""
        self.require(fault)
        self.inject(Injection(fault, last=1))
        self._truth_or(fault, must_fail=fault is Fault.RETRY_TOMORROW)

    def inject(self, *faults: Injection) -> None:
        """Let things go wrong from now on."""
        self.server.faults = faults

    def _truth_or(self, fault: Fault, *, must_fail: bool) -> None:
        symbol = self.symbols[0]
        try:
            bars = self.fetch(symbols=[symbol])
        except LASTING[fault] as error:
            self.assert_secret(error, *error.args)
        else:
            assert not must_fail, f"{fault.value}: no error, and {len(bars)} bars"
            self.assert_true(bars, self.truth(symbol))
        assert fault in self.server.provider.struck, (
            f"{fault.value}: did not happen. Let the provider do it (Provider.page, events_of), "
            "or say in not_applicable why it cannot"
        )

    def test_two_hundred_pages_with_faults_are_the_truth_or_an_error(self) -> None:
        """A page a bar: some are cut or refused once, some are empty or come twice."""
        self.require(Scene.PAGES)
        self.server.provider.page_size = 1
        passing = [(Fault.CUT_BODY, 7), (Fault.OUTAGE, 50)]
        pages = [(Fault.EMPTY_PAGE, 100), (Fault.DUPLICATE_PAGE, 150)]
        tries = zip(self.others, (passing, pages, passing + pages), strict=False)
        for symbol, strikes in tries:
            self.server.forget()
            self.inject(*(
                Injection(fault, first=ordinal, last=ordinal)
                for fault, ordinal in strikes
                if fault not in self.not_applicable
            ))  # fmt: skip
            try:
                bars = self.fetch(symbols=[symbol])
            except (MalformedAnswerError, BarValidationError, OutageError):
                continue
            self.assert_true(bars, self.truth(symbol))
            assert len(self.server.calls) >= len(bars) >= 199

    def test_an_outage_amid_pages_is_an_error(self) -> None:
        """The pages before it are not taken for all."""
        self.require(Scene.PAGES)
        self.server.provider.page_size = self.page_size // 5
        self.inject(Injection(Fault.OUTAGE, first=10))
        with pytest.raises(OutageError):
            self.fetch(symbols=[self.symbols[0]])

    def test_each_failure_is_told_and_the_rest_is_kept(self) -> None:
        """Five symbols, five reasons, and the bars of the others."""
        kinds: dict[str, tuple[Fault | None, Errors]] = {
            self.unknown_symbol: (None, (UnknownSymbolError,)),
            **{
                symbol: (fault, LASTING[fault])
                for symbol, fault in zip(
                    self.others,
                    (Fault.UNAUTHORISED, Fault.RATE_LIMITED, Fault.OUTAGE, Fault.HTML_BODY),
                    strict=True,
                )
            },
        }
        self.inject(*(Injection(fault, name) for name, (fault, _) in kinds.items() if fault))
        fetched = self.fetch_available([*self.symbols, *kinds])
        self.assert_true(fetched.bars)
        assert set(fetched.failures) == set(kinds)
        for symbol, (_, errors) in kinds.items():
            assert isinstance(fetched.failures[symbol], errors), fetched.failures[symbol]
        assert len({type(error) for error in fetched.failures.values()}) == len(kinds)
        self.assert_secret(*fetched.failures.values())

    # What time does.

    @pytest.mark.parametrize("daily", [True, False])
    def test_a_bar_is_returned_once_it_has_ended(self, daily: bool) -> None:
        """Not while it forms, although the provider shows it."""
        frequency = self._frequency(daily)
        symbol = self.symbols[1]
        last = self.world.served(symbol, frequency).row(-1, named=True)
        assert last["end"] > self.world.now
        self.assert_true(self._of(symbol, frequency), self.truth(symbol, frequency))
        self.server.provider.world = replace(self.world, now=last["end"] + timedelta(days=3))
        ended = self._of(symbol, frequency)
        assert last["timestamp"] in ended["timestamp"]
        self.assert_true(ended, self.truth(symbol, frequency))

    @pytest.mark.parametrize("daily", [True, False])
    def test_a_restated_bar_is_seen(self, daily: bool) -> None:
        """Days later, by a new source and by one that has seen the old bar."""
        frequency = self._frequency(daily)
        request = ([self.symbols[1]], self.start, self.end, frequency)
        source = self.make_source()
        before = run(source.fetch(*request))
        later = self.world.now + timedelta(days=3)
        self.server.provider.world = replace(self.world.restated(frequency), now=later)
        truth = self.truth(self.symbols[1], frequency)
        assert not truth.head(len(before)).equals(before)
        self.assert_true(run(source.fetch(*request)), truth)
        self.assert_true(self._of(self.symbols[1], frequency), truth)

    def test_intraday_bars_are_the_true_ones(self) -> None:
        """In one request, across both changes of the clocks and an early close."""
        self.require(Scene.INTRADAY)
        bars = self.fetch(frequency=self.intraday)
        self.assert_true(bars, self.world.expected(self.symbols, self.intraday))

    @pytest.mark.parametrize("day", INTRADAY_DAYS, ids=str)
    def test_a_day_of_intraday_bars_is_the_true_one(self, day: date) -> None:
        """As it was open, in UTC."""
        self.require(Scene.INTRADAY)
        symbol = self.symbols[0]
        bars = self.fetch(symbols=[symbol], start=day, end=day, frequency=self.intraday)
        ended = self.truth(symbol, self.intraday)
        self.assert_true(
            bars, ended.filter((pl.col("timestamp") - pl.duration(microseconds=1)).dt.date() == day)
        )

    def _frequency(self, daily: bool) -> str:
        if not daily:
            self.require(Scene.INTRADAY)
        return "1d" if daily else self.intraday

    def _of(self, symbol: str, frequency: str) -> pl.DataFrame:
        return self.fetch(symbols=[symbol], frequency=frequency)

    # What there is and is not.

    def test_an_empty_range_has_a_reason(self) -> None:
        """It is an answer of the provider's, and no failure."""
        if self.empty_range is None:
            pytest.skip("the source has bars in every range")
        start, end = self.empty_range
        fetched = self.fetch_available(list(self.symbols), start=start, end=end)
        assert not fetched.failures
        assert fetched.bars.is_empty()
        assert set(fetched.absences) == set(self.symbols)
        assert all(fetched.absences.values())

    def test_a_delisted_symbol_is_an_error_of_its_own(self) -> None:
        """After its last session; until then it has its bars."""
        self.require(Scene.DELISTED)
        last = self.world.delisted[self.delisted]
        until = self.fetch(symbols=[self.delisted], end=last)
        self.assert_true(until, self.truth(self.delisted))
        with pytest.raises(DelistedSymbolError, match=self.delisted):
            self.fetch(symbols=[self.delisted], start=last + timedelta(days=30))

    # Corporate actions.

    def test_a_split_told_twice_is_one_split_or_an_error(self) -> None:
        """It is not applied twice."""
        self.require(Scene.EVENTS)
        self.require(Fault.DUPLICATE_SPLIT)
        self.inject(Injection(Fault.DUPLICATE_SPLIT))
        try:
            splits = self.fetch_events().splits
            bars = self.fetch()
        except _NOTICED:
            pass
        else:
            assert splits.equals(self.world.events.splits)
            self.assert_true(bars)
        assert Fault.DUPLICATE_SPLIT in self.server.provider.struck

    @pytest.mark.parametrize("dividends", [False, True])
    def test_the_adjusted_series_follows_from_bars_and_events(self, dividends: bool) -> None:
        """To a millionth, across a 4:1 split and dividends."""
        self.require(Scene.EVENTS)
        symbol = self.symbols[0]
        bars, events = self.fetch(symbols=[symbol]), self.fetch_events(symbols=[symbol])
        assert SPLIT_DAY in events.splits["ex_date"]
        kinds = ["split", "dividend"] if dividends else ["split"]
        ratios = price_ratios(bars, events).filter(pl.col("kind").is_in(kinds))
        derived = adjust(bars, ratios, LAST)
        theirs = self.world.adjusted(symbol, dividends=dividends).head(len(bars))
        assert derived["timestamp"].equals(theirs["timestamp"])
        for name in (*PRICE_COLUMNS, "volume"):
            assert ((derived[name] - theirs[name]) / theirs[name]).abs().max() < 1e-6, name  # type: ignore[operator]

    # Secrets.

    def test_the_credential_is_told_to_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        """Not in a log, a repr or the metadata."""
        caplog.set_level("DEBUG")
        source = self.make_source()
        request = (list(self.symbols), self.start, self.end, self.frequency)
        run(source.fetch(*request))
        self.inject(Injection(Fault.UNAUTHORISED))
        with pytest.raises(RustyBTError) as caught:
            run(source.fetch([self.others[0]], *request[1:]))
        metadata = source.get_metadata()
        self.assert_secret(source, metadata, metadata.config, metadata.fingerprint)
        self.assert_secret(caught.value, caplog.text)
