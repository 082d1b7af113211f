"""Each fault of the kit, and a source that does what it should not: the suite notices."""

import gc
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from rustybt.data.adjustments import Events
from rustybt.data.bars import empty_bars
from rustybt.data.errors import DelistedSymbolError, OutageError, SourceError
from rustybt.data.sources.adapters import Answered
from rustybt.data.sources.testing import Fault, LoopbackServer, Page
from tests.data.sources.candles import CandlesProvider, CandlesSource
from tests.data.sources.test_kit import CandlesTests

# A source that is broken on purpose drops connections half read; what it leaves is found here,
# by the fixture below, and not in a test of something else.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module", autouse=True)
def leave_nothing_behind() -> Iterator[None]:
    yield
    gc.collect()


class Changes(CandlesSource):
    """Does something to the bars that it returns."""

    def change(self, bars):
        raise NotImplementedError

    async def _bars_of(self, session, symbol, asked, frequency):
        answered = await super()._bars_of(session, symbol, asked, frequency)
        return replace(answered, bars=self.change(answered.bars.sort("timestamp")))


class StopsAtAShortPage(CandlesSource):
    async def pages(self, session, request):
        async for page in super().pages(session, request):
            yield page
            if len(page["rows"]) < CandlesTests.page_size:
                break


class StopsAtAnEmptyPage(CandlesSource):
    async def pages(self, session, request):
        async for page in super().pages(session, request):
            yield page
            if page["rows"] == []:
                break


class StopsWhereItWas(CandlesSource):
    async def pages(self, session, request):
        pages = []
        try:
            async for page in super().pages(session, request):
                pages.append(page)  # noqa: PERF401  what there is when it fails is kept
        except SourceError:
            pass
        for page in pages:
            yield page


class AddsUpDuplicates(CandlesSource):
    def once(self, bars):
        others = pl.exclude("timestamp", "volume").first()
        return bars.group_by("timestamp").agg(pl.col("volume").sum(), others)


class BelievesTheOrder(CandlesSource):
    def once(self, bars):
        return bars.filter(pl.col("timestamp") >= pl.col("timestamp").cum_max())


class SplitsTwice(CandlesSource):
    def events_from(self, kind, rows, symbol):
        events = super().events_from(kind, rows, symbol)
        return events.with_columns(pl.col("ratio") ** len(rows)) if kind == "splits" else events


class Hides(CandlesSource):
    async def _bars_of(self, session, symbol, asked, frequency):
        try:
            return await super()._bars_of(session, symbol, asked, frequency)
        except SourceError:
            return Answered(empty_bars(frequency))


class CallsAllOutages(CandlesSource):
    async def _bars_of(self, session, symbol, asked, frequency):
        try:
            return await super()._bars_of(session, symbol, asked, frequency)
        except SourceError as error:
            raise OutageError(str(error)) from error


class IsInAHurry(CandlesSource):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options, deadline=1e-5)


class ReturnsFormingBars(CandlesSource):
    def ended(self, bars, frequency):
        return bars


class NeverReturnsTheLastBar(Changes):
    def change(self, bars):
        return bars.head(-1)


class Remembers(CandlesSource):
    async def _bars_of(self, session, symbol, asked, frequency):
        known = vars(self).setdefault("known", {})
        key = (symbol, frequency)
        if key not in known:
            known[key] = await super()._bars_of(session, symbol, asked, frequency)
        return known[key]


class IgnoresSummerTime(Changes):
    def change(self, bars):
        if bars.schema["timestamp"] == pl.Date:
            return bars
        summer = pl.col("timestamp").dt.month().is_between(4, 10)
        return bars.with_columns(pl.col("timestamp") + pl.duration(hours=summer.cast(pl.Int64)))


class LabelsStarts(Changes):
    def change(self, bars):
        return bars.with_columns(pl.col("timestamp") - timedelta(minutes=15))


class DropsShortDays(Changes):
    def change(self, bars):
        count = pl.len().over(pl.col("timestamp").dt.date())
        return bars.filter(count > 14)


class GivesUpAtOnce(CandlesSource):
    async def fetch_available(self, *request, **named):
        fetched = await super().fetch_available(*request, **named)
        fetched.complete()
        return fetched


class HasNoReason(CandlesSource):
    async def _bars_of(self, *request):
        return replace(await super()._bars_of(*request), absence="")


class SeesNoDelisting(CandlesSource):
    async def _bars_of(self, session, symbol, asked, frequency):
        try:
            return await super()._bars_of(session, symbol, asked, frequency)
        except DelistedSymbolError:
            return Answered(empty_bars(frequency))


class TurnsSplitsAround(CandlesSource):
    def events_from(self, kind, rows, symbol):
        events = super().events_from(kind, rows, symbol)
        return events.with_columns(ratio=1 / pl.col("ratio")) if kind == "splits" else events


class HasNoDividends(CandlesSource):
    async def _events_of(self, *request):
        return Events(splits=(await super()._events_of(*request)).splits)


class ReturnsAdjustedPrices(Changes):
    def change(self, bars):
        early = pl.col("timestamp") < date(2020, 8, 31)
        prices = pl.col("open", "high", "low", "close")
        return bars.with_columns(prices / pl.when(early).then(4.0).otherwise(1.0))


class ShowsItsKey(CandlesSource):
    def __repr__(self):
        return f"ShowsItsKey({CandlesProvider.secret})"


class RecordsItsKey(CandlesSource):
    def get_metadata(self):
        return replace(super().get_metadata(), config={"url": f"/?{CandlesProvider.secret}"})


class LogsItsKey(CandlesSource):
    def _connect(self):
        logging.getLogger("candles").debug("asking with %s", CandlesProvider.secret)
        return super()._connect()


class SaysItsKey(CandlesSource):
    async def _bars_of(self, session, symbol, asked, frequency):
        try:
            return await super()._bars_of(session, symbol, asked, frequency)
        except SourceError as error:
            error.args = (f"{error} with {CandlesProvider.secret}",)
            raise


class OnePage(CandlesProvider):
    """A provider that forgets about pages, so that their faults cannot happen."""

    def page(self, request, rows, limit, cursor=""):
        return Page(rows, None)


LASTING = "a_lasting_fault_gives_the_truth_or_its_error"
PASSING = "a_passing_fault_gives_the_truth_or_its_error"
ENDED = "a_bar_is_returned_once_it_has_ended"
DAY = "a_day_of_intraday_bars_is_the_true_one"
KINDS = "each_failure_is_told_and_the_rest_is_kept"
ADJUSTED = "the_adjusted_series_follows_from_bars_and_events"
FAILURES = [
    Fault.ERROR_BODY, Fault.RATE_LIMITED, Fault.RETRY_AT_ONCE, Fault.RETRY_TOMORROW,
    Fault.UNAUTHORISED, Fault.OUTAGE, Fault.STALLED_BODY, Fault.CUT_BODY, Fault.TRUNCATED_BODY,
    Fault.HTML_BODY, Fault.EMPTY_BODY,
]  # fmt: skip


def check(source, test, *arguments, provider=CandlesProvider):
    """Run one test of the suite on a source."""
    suite = CandlesTests()
    suite.source_class = source
    with LoopbackServer(provider(suite.make_world())) as suite.server:
        suite.events = suite._known_events()
        getattr(suite, f"test_{test}")(*arguments)
    assert not suite.server.errors


@pytest.mark.parametrize(
    ("source", "test", "arguments"),
    [
        (StopsAtAShortPage, LASTING, [Fault.SHORT_PAGE]),
        (StopsAtAnEmptyPage, LASTING, [Fault.EMPTY_PAGE]),
        (AddsUpDuplicates, LASTING, [Fault.DUPLICATE_ROW]),
        (AddsUpDuplicates, LASTING, [Fault.DUPLICATE_PAGE]),
        (BelievesTheOrder, LASTING, [Fault.REVERSED_PAGE]),
        (StopsWhereItWas, LASTING, [Fault.STUCK_CURSOR]),
        (SplitsTwice, "a_split_told_twice_is_one_split_or_an_error", []),
        *((Hides, LASTING, [fault]) for fault in FAILURES),
        *((Hides, PASSING, [fault]) for fault in (Fault.UNAUTHORISED, Fault.RETRY_TOMORROW)),
        (CallsAllOutages, LASTING, [Fault.RATE_LIMITED]),
        (CallsAllOutages, LASTING, [Fault.UNAUTHORISED]),
        (IsInAHurry, LASTING, [Fault.SLOW_BODY]),
        (StopsWhereItWas, "an_outage_amid_pages_is_an_error", []),
        (StopsAtAnEmptyPage, "two_hundred_pages_with_faults_are_the_truth_or_an_error", []),
        (ReturnsFormingBars, ENDED, [True]),
        (ReturnsFormingBars, ENDED, [False]),
        (NeverReturnsTheLastBar, ENDED, [True]),
        (Remembers, "a_restated_bar_is_seen", [True]),
        (IgnoresSummerTime, DAY, [date(2020, 8, 28)]),
        (IgnoresSummerTime, "intraday_bars_are_the_true_ones", []),
        (LabelsStarts, "intraday_bars_are_the_true_ones", []),
        (DropsShortDays, DAY, [date(2020, 11, 27)]),
        (Hides, KINDS, []),
        (CallsAllOutages, KINDS, []),
        (GivesUpAtOnce, KINDS, []),
        (HasNoReason, "an_empty_range_has_a_reason", []),
        (SeesNoDelisting, "a_delisted_symbol_is_an_error_of_its_own", []),
        (TurnsSplitsAround, ADJUSTED, [False]),
        (HasNoDividends, ADJUSTED, [True]),
        (ReturnsAdjustedPrices, ADJUSTED, [False]),
        (SaysItsKey, LASTING, [Fault.OUTAGE]),
        (SaysItsKey, KINDS, []),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_each_misdeed_is_caught(source, test, arguments):
    check(CandlesSource, test, *arguments)
    with pytest.raises((AssertionError, SourceError, pytest.fail.Exception)):
        check(source, test, *arguments)


@pytest.mark.parametrize("source", [ShowsItsKey, RecordsItsKey, LogsItsKey, SaysItsKey])
def test_a_key_that_is_told_is_caught(source, caplog):
    test = "the_credential_is_told_to_nobody"
    check(CandlesSource, test, caplog)
    with pytest.raises(AssertionError, match="the credential is told"):
        check(source, test, caplog)


def test_a_fault_that_does_not_happen_is_not_taken_for_a_pass():
    with pytest.raises(AssertionError, match="did not happen"):
        check(CandlesSource, LASTING, Fault.SHORT_PAGE, provider=OnePage)


def test_a_provider_that_fails_is_told(tmp_path):
    class Broken(CandlesProvider):
        def respond(self, request):
            raise ZeroDivisionError

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        check(Hides, "bars_are_sorted_and_unique", provider=Broken)
