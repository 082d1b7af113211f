"""The suite for all sources: a good source passes, and each fault is caught by a test."""

import inspect
import uuid
from datetime import date, timedelta

import polars as pl
import pytest

from rustybt.data.adjustments import Events
from rustybt.data.sources.testing import DataSourceTests
from tests.fakes import FrameSource
from tests.frames import sessions, splits, walk

SYMBOLS = ("AAA", "BBB")
BARS = walk(SYMBOLS, sessions("2020-02-03", "2020-02-28"))
EVENTS = splits(("AAA", "2020-02-10", 0.5))


class TestAGoodSource(DataSourceTests):
    symbols = SYMBOLS
    start, end = date(2020, 2, 1), date(2020, 2, 29)
    events = EVENTS

    def make_source(self):
        return FrameSource(BARS, EVENTS)

    def expected(self):
        return BARS


class Loses(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        return (await super().fetch(symbols, start, end, frequency)).head(-1)


class Rounds(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        bars = await super().fetch(symbols, start, end, frequency)
        return bars.with_columns(pl.col("close").round(1))


class Owes(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        bars = await super().fetch(symbols, start, end, frequency)
        return bars.with_columns(-pl.col("volume"))


class Unsorted(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        return (await super().fetch(symbols, start, end, frequency)).reverse()


class AsAsked(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        parts = [await super(AsAsked, self).fetch([s], start, end, frequency) for s in symbols]
        return pl.concat(parts)


class Narrow(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        bars = await super().fetch(symbols, start, end, frequency)
        return bars.with_columns(pl.col("volume").cast(pl.Float32))


class EndExcluded(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        bars = await super().fetch(symbols, start, end, frequency)
        return bars.filter(pl.col("timestamp") < bars["timestamp"].max())


class Everything(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        return await super().fetch(symbols, None, None, frequency)


class KnowsAll(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        known = [symbol for symbol in symbols if symbol in self._symbols]
        return await super().fetch(known, start, end, frequency)


class AnyFrequency(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        return await super().fetch(symbols, start, end, "1d")


class Sorts(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        symbols.sort()
        return await super().fetch(symbols, start, end, frequency)


class Shifts(FrameSource):
    async def fetch(self, symbols, start, end, frequency):
        bars = await super().fetch(symbols, start, end, frequency)
        return bars.with_columns(pl.col("timestamp") + timedelta(days=1))


class NoEvents(FrameSource):
    async def fetch_events(self, symbols, start, end):
        return Events()


class AllEvents(FrameSource):
    async def fetch_events(self, symbols, start, end):
        return splits(("CCC", "2020-02-10", 0.5), ("AAA", "2020-02-10", 0.5))


class Tells(FrameSource):
    def __init__(self, bars, events):
        super().__init__(bars, events, config={"auth": {"api_key": "k"}})


class Opaque(FrameSource):
    def __init__(self, bars, events):
        super().__init__(bars, events, config={"path": object()})


class Fickle(FrameSource):
    def __init__(self, bars, events):
        super().__init__(bars, events, config={"id": str(uuid.uuid4())})


class Adjusted(FrameSource):
    def __init__(self, bars, events):
        super().__init__(bars, events, adjustment="split")


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        (Loses, "it_returns_the_true_bars"),
        (Rounds, "it_returns_the_true_bars"),
        (Shifts, "it_returns_the_true_bars"),
        (Unsorted, "bars_are_sorted_and_unique"),
        (Narrow, "bars_are_in_the_schema"),
        (Owes, "bars_can_be_true"),
        (EndExcluded, "both_ends_of_the_range_are_included"),
        (Everything, "a_part_is_the_whole_filtered"),
        (Everything, "a_range_without_bars_gives_none_in_the_schema"),
        (Loses, "each_symbol_alone_is_the_same"),
        (AsAsked, "order_and_repetition_of_symbols_change_nothing"),
        (Sorts, "the_request_is_left_alone"),
        (KnowsAll, "an_unknown_symbol_is_an_error"),
        (Everything, "a_reversed_range_is_an_error"),
        (AnyFrequency, "a_frequency_that_is_not_there_is_an_error"),
        (AnyFrequency, "a_frequency_that_is_none_is_an_error"),
        (NoEvents, "events_are_the_true_ones"),
        (AllEvents, "events_are_in_their_schemas"),
        (Adjusted, "only_raw_bars_have_events"),
        (Tells, "metadata_can_be_written_down"),
        (Opaque, "metadata_can_be_written_down"),
        (Fickle, "the_fingerprint_is_that_of_the_configuration"),
        (Loses, "requests_can_run_side_by_side"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_each_fault_is_caught(fault, test):
    suite = TestAGoodSource()
    suite.make_source = lambda: fault(BARS, EVENTS)
    with pytest.raises((AssertionError, pytest.fail.Exception, TypeError)):
        getattr(suite, f"test_{test}")()


def test_the_suite_is_not_collected_by_itself():
    assert not DataSourceTests.__name__.startswith("Test")
    assert all(
        inspect.getdoc(test)
        for name, test in vars(DataSourceTests).items()
        if name.startswith("test_")
    )
