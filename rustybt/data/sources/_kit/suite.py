"""The suite that every data source must pass."""

import asyncio
import json
import re
from collections.abc import Coroutine
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.adjustments import EVENT_SCHEMAS, Events
from rustybt.data.bars import VALUE_COLUMNS, Frequency, bar_schema, validate
from rustybt.data.errors import DateRangeError, FrequencyError, SourceError, UnknownSymbolError
from rustybt.data.sources.base import DataSource, DataSourceMetadata

#: Names in a configuration that have no business in metadata.
_SECRET = re.compile(r"secret|password|passwd|token|credential|(api|private|access)_?key", re.I)

_KEY = ("symbol", "timestamp")
#: Seconds after which a source that is asked for a little is taken to hang.
_ENDLESS = 60.0

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what a source was asked, and give up on one that hangs."""

    async def limited() -> T:
        async with asyncio.timeout(_ENDLESS):
            return await coroutine

    return asyncio.run(limited())


class DataSourceTests:
    """What holds for every source.

    Attributes
    ----------
    symbols : sequence of str
        At least one; two or more for the tests of order to say something.
    start, end : date, datetime or pandas.Timestamp
        A range, both included, in which the source has bars of `symbols`: dates for daily bars,
        the first and the last bar's times, in UTC, for intraday ones.
    frequency : str
    unknown_symbol : str
        A symbol that the source does not have.
    unsupported_frequency : str
        A frequency that the source does not have.
    empty_range : pair, or None
        A range without a bar of `symbols`; None if the source has no such range.
    calendar : str
        The market's calendar, for the bundle that is made.
    tolerance : float
        How far, in relation, a value may lie from the true one: 0 unless the provider itself
        rounds, or hands over adjusted prices.
    events : Events or None
        The corporate actions of `symbols` from `start` to `end`; None if they are not known.
    """

    symbols: ClassVar[tuple[str, ...] | list[str]]
    start: ClassVar[Any]
    end: ClassVar[Any]
    frequency: ClassVar[str] = "1d"
    unknown_symbol: ClassVar[str] = "NO.SUCH.SYMBOL"
    unsupported_frequency: ClassVar[str] = "7m"
    empty_range: ClassVar[tuple[Any, Any] | None] = (date(1801, 1, 1), date(1801, 12, 31))
    calendar: ClassVar[str] = "XNYS"
    tolerance: ClassVar[float] = 0.0
    events: Events | None = None

    def make_source(self) -> DataSource:
        """A new source; called more than once in a test."""
        raise NotImplementedError("make_source() returns the source under test")

    def expected(self) -> pl.DataFrame:
        """The bars of `symbols` from `start` to `end`, in the bar schema."""
        raise NotImplementedError("expected() returns the true bars")

    def fetch(self, **changes: Any) -> pl.DataFrame:
        """What a new source returns for the described request, some of it changed."""
        request: dict[str, Any] = {
            "symbols": list(self.symbols),
            "start": self.start,
            "end": self.end,
            "frequency": self.frequency,
        }
        return run(self.make_source().fetch(**(request | changes)))

    def fetch_events(self, **changes: Any) -> Events:
        """The events of a new source for the described request, some of it changed."""
        request = {"symbols": list(self.symbols), "start": self.start, "end": self.end}
        return run(self.make_source().fetch_events(**(request | changes)))

    def assert_true(self, bars: pl.DataFrame, expected: pl.DataFrame | None = None) -> None:
        """The bars are the expected ones, to `tolerance`; by default those of `expected()`."""
        truth = self.expected() if expected is None else expected
        if not self.tolerance:
            assert_frame_equal(bars, truth, check_exact=True)
            return
        assert bars.schema == truth.schema
        assert_frame_equal(bars.select(_KEY), truth.select(_KEY))
        for name in VALUE_COLUMNS:
            off = ((bars[name] - truth[name]) / truth[name]).abs()
            assert (off <= self.tolerance).all(), f"{name} is up to {off.max()!r} off"

    def test_it_returns_the_true_bars(self) -> None:
        """Every bar, every value, and nothing else."""
        expected = self.expected()
        assert len(expected), "expected() has no bars: there is nothing to compare with"
        assert_frame_equal(self.fetch(), expected, check_exact=True)

    def test_bars_are_in_the_schema(self) -> None:
        """Columns, their order and their types."""
        assert self.fetch().schema == bar_schema(Frequency.parse(self.frequency))

    def test_bars_are_sorted_and_unique(self) -> None:
        """By symbol and time."""
        keys = self.fetch().select("symbol", "timestamp")
        assert_frame_equal(keys, keys.unique().sort("symbol", "timestamp"))

    def test_bars_can_be_true(self) -> None:
        """No bar breaks a rule of `rustybt.data.bars.validate`."""
        assert validate(self.fetch()).is_empty()

    def test_both_ends_of_the_range_are_included(self) -> None:
        """A range from the first bar to the last one has them both."""
        times = self.expected()["timestamp"]
        bars = self.fetch(start=times.min(), end=times.max())
        self.assert_true(bars)

    def test_a_part_is_the_whole_filtered(self) -> None:
        """A shorter range gives the same bars as the whole range does."""
        whole = self.expected()
        times = whole["timestamp"].unique().sort()
        # A midnight means a whole day to a request for intraday bars; the middle ones seldom are.
        first, last = times[len(times) // 3], times[2 * len(times) // 3]
        inside = whole.filter(pl.col("timestamp").is_between(first, last))
        self.assert_true(self.fetch(start=first, end=last), inside)

    def test_each_symbol_alone_is_the_same(self) -> None:
        """What is fetched together does not change what is fetched."""
        whole = self.expected()
        for symbol in self.symbols:
            alone = whole.filter(pl.col("symbol") == symbol)
            self.assert_true(self.fetch(symbols=[symbol]), alone)

    def test_order_and_repetition_of_symbols_change_nothing(self) -> None:
        """Symbols are a set."""
        asked = [*reversed(self.symbols), *self.symbols]
        self.assert_true(self.fetch(symbols=asked))

    def test_the_request_is_left_alone(self) -> None:
        """The caller's list is not changed."""
        asked = [*reversed(self.symbols), *self.symbols]
        before = list(asked)
        self.fetch(symbols=asked)
        self.fetch_events(symbols=asked)
        assert asked == before

    def test_spellings_of_the_range_mean_the_same(self) -> None:
        """Text, datetime and pandas.Timestamp are as good as what was described."""
        pandas = pytest.importorskip("pandas")
        for spell in (str, lambda moment: pandas.Timestamp(moment)):
            bars = self.fetch(start=spell(self.start), end=spell(self.end))
            self.assert_true(bars)

    def test_an_unknown_symbol_is_an_error(self) -> None:
        """Also among known ones; the error names it and only it."""
        with pytest.raises(UnknownSymbolError, match=re.escape(self.unknown_symbol)) as caught:
            self.fetch(symbols=[*self.symbols, self.unknown_symbol])
        assert caught.value.symbols == (self.unknown_symbol,)

    def test_a_reversed_range_is_an_error(self) -> None:
        """Start after end."""
        with pytest.raises(DateRangeError):
            self.fetch(start=date(2021, 1, 2), end=date(2020, 1, 2))

    def test_a_frequency_that_is_not_there_is_an_error(self) -> None:
        """It is not made from another one in silence."""
        with pytest.raises(FrequencyError):
            self.fetch(frequency=self.unsupported_frequency)

    def test_a_frequency_that_is_none_is_an_error(self) -> None:
        """A word that is no frequency."""
        with pytest.raises(FrequencyError):
            self.fetch(frequency="fortnightly")

    def test_a_range_without_bars_gives_none_in_the_schema(self) -> None:
        """Nothing happened is an answer, not an error."""
        if self.empty_range is None:
            pytest.skip("the source has bars in every range")
        start, end = self.empty_range
        bars = self.fetch(start=start, end=end)
        assert bars.is_empty()
        assert bars.schema == bar_schema(Frequency.parse(self.frequency))

    def test_symbols_are_listed_or_it_says_that_it_cannot(self) -> None:
        """A listing is sorted and has the described symbols."""
        try:
            listed = run(self.make_source().list_symbols())
        except SourceError as error:
            if type(error) is not SourceError:
                raise
            return
        assert listed == sorted(set(listed))
        assert set(self.symbols) <= set(listed)
        assert self.unknown_symbol not in listed

    def test_events_are_in_their_schemas(self) -> None:
        """Columns and types of each kind, sorted, and only of symbols asked for."""
        for kind, frame in self.fetch_events().items():
            assert frame.schema == EVENT_SCHEMAS[kind], kind
            assert set(frame["symbol"]) <= set(self.symbols), kind
            assert_frame_equal(frame, frame.sort("symbol", "ex_date", maintain_order=True))

    def test_events_are_the_true_ones(self) -> None:
        """Each kind, as described."""
        if self.events is None:
            pytest.skip("the description has no events")
        found = dict(self.fetch_events().items())
        for kind, frame in self.events.items():
            assert_frame_equal(found[kind], frame)

    def test_only_raw_bars_have_events(self) -> None:
        """Or prices would be adjusted twice."""
        if self.make_source().get_metadata().adjustment != "raw":
            assert not len(self.fetch_events())

    def test_metadata_can_be_written_down(self) -> None:
        """As JSON, with the frequency under test in a known spelling, and without secrets."""
        metadata = self.make_source().get_metadata()
        assert isinstance(metadata, DataSourceMetadata)
        assert metadata.source_type
        assert Frequency.parse(self.frequency) in map(Frequency.parse, metadata.frequencies)
        text = json.dumps(dict(metadata.config))
        names = [name for name in _names(json.loads(text)) if _SECRET.search(name)]
        assert not names, f"metadata.config names {names}"

    def test_the_fingerprint_is_that_of_the_configuration(self) -> None:
        """Two sources that were made alike have one fingerprint."""
        one, other = (self.make_source().get_metadata().fingerprint for _ in range(2))
        assert one == other

    def test_live_support_is_a_yes_or_a_no(self) -> None:
        """Not something that seems true."""
        assert self.make_source().supports_live() in (True, False)

    def test_requests_can_run_side_by_side(self) -> None:
        """One source, one running loop, many requests."""

        async def together() -> list[pl.DataFrame]:
            source = self.make_source()
            request = (self.start, self.end, self.frequency)
            wanted = [list(self.symbols), *([symbol] for symbol in self.symbols)]
            return await asyncio.gather(*(source.fetch(each, *request) for each in wanted * 2))

        whole, *parts = run(together())
        self.assert_true(whole)
        assert sum(map(len, parts)) == 3 * len(whole)

    def test_a_bundle_is_made_of_the_bars(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`ingest_to_bundle` writes a version with every bar, and says so in its metadata."""
        from rustybt.data.bundles.metadata import BundleMetadata

        monkeypatch.setenv("ZIPLINE_ROOT", str(tmp_path / "root"))
        path = run(
            self.make_source().ingest_to_bundle(
                "conformance",
                list(self.symbols),
                self.start,
                self.end,
                self.frequency,
                calendar=self.calendar,
            )
        )
        assert path.is_dir()
        metadata = BundleMetadata.load("conformance")
        assert metadata.source_type == self.make_source().get_metadata().source_type
        assert metadata.row_count == len(self.expected())
        assert metadata.symbols == sorted(set(self.expected()["symbol"]))


def _names(config: Any) -> list[str]:
    """The keys of a configuration, at every depth."""
    if isinstance(config, dict):
        return [*config, *(name for value in config.values() for name in _names(value))]
    if isinstance(config, list):
        return [name for value in config for name in _names(value)]
    return []
