"""Several providers as one source."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.errors import (
    AuthenticationError,
    BarValidationError,
    DelistedSymbolError,
    FrequencyError,
    MalformedAnswerError,
    OptionError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    SourceError,
    SourceFileError,
    UnadjustableError,
    UnknownSymbolError,
)
from rustybt.data.provenance import DISAGREEMENTS, SUPPLIERS
from rustybt.data.sources import CompositeDataSource, Supplier, YFinanceDataSource
from rustybt.data.sources.cached_source import CachedDataSource
from rustybt.data.sources.testing import DataSourceTests
from tests.fakes import CountingSource, FailingSource, FrameSource
from tests.frames import bars, minutes, sessions, splits, walk

FIRST, LAST = date(2020, 2, 3), date(2020, 2, 28)
SEAM = date(2020, 2, 14)
DAYS = sessions("2020-02-03", "2020-02-28")
OLD, NEW = walk(["A", "B"], DAYS, seed=1), walk(["A", "B"], DAYS, seed=2)
IMPOSSIBLE = BarValidationError(pl.DataFrame(schema=["rule", "symbol", "timestamp", "message"]))


def feed(bars=OLD, name="old", **facts):
    return FrameSource(bars, feed=name, **facts)


def until(day, bars):
    return bars.filter(pl.col("timestamp") <= day)


def since(day, bars):
    return bars.filter(pl.col("timestamp") > day)


def of(symbol, bars):
    return bars.filter(pl.col("symbol") == symbol)


def stitched(*sources):
    old, new = sources or (feed(), feed(NEW, "new"))
    return CompositeDataSource([
        Supplier(old, "old", end=SEAM), Supplier(new, "new", start=SEAM + timedelta(days=1)),
    ])  # fmt: skip


def available(source, symbols=("A", "B"), start=FIRST, end=LAST, frequency="1d"):
    return asyncio.run(source.fetch_available(list(symbols), start, end, frequency))


def suppliers(fetched):
    told = fetched.provenance.suppliers
    return told.select("symbol", "provider", "first", "last", "bars", "outcome").rows()


class TestComposite(DataSourceTests):
    symbols = ("A", "B")
    start, end = FIRST, LAST
    events = splits(("A", "2020-02-12", 0.5), ("B", "2020-02-20", 0.5))

    def make_source(self):
        return stitched(
            FrameSource(OLD, self.events, feed="old"), FrameSource(NEW, self.events, feed="new")
        )

    def expected(self):
        return pl.concat([until(SEAM, OLD), since(SEAM, NEW)]).sort("symbol", "timestamp")


class TestBelowTheCache(TestComposite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def make_source(self):
        return CachedDataSource(super().make_source(), self.folder)


class TestMinutes(DataSourceTests):
    symbols = ("A", "B")
    start, end = date(2020, 3, 6), date(2020, 3, 7)
    frequency = "1m"
    calendar = "24/7"
    bars = walk(["A", "B"], minutes("2020-03-06", "2020-03-07", "24/7"), seed=1)
    others = walk(["A", "B"], minutes("2020-03-06", "2020-03-07", "24/7"), seed=2)

    def make_source(self):
        day = date(2020, 3, 6)
        return CompositeDataSource([
            Supplier(feed(self.bars), "old", end=day),
            Supplier(feed(self.others), "new", start=day + timedelta(days=1)),
        ])  # fmt: skip

    def expected(self):
        # The bar that ends at midnight began on the day before.
        seam = datetime(2020, 3, 7, tzinfo=UTC)
        bars = pl.concat([until(seam, self.bars), since(seam, self.others)])
        whole = pl.col("timestamp") > datetime(2020, 3, 6, tzinfo=UTC)
        return bars.filter(whole).sort("symbol", "timestamp")


def test_each_side_of_a_seam_is_its_providers_own():
    fetched = available(stitched(), ["A"])
    after = SEAM + timedelta(days=1)
    assert suppliers(fetched) == [
        ("A", "old", FIRST, SEAM, 10, "supplied"),
        ("A", "new", after, LAST, 9, "supplied"),
    ]


def test_a_provider_is_asked_for_its_part_only():
    old, new = CountingSource(OLD), CountingSource(NEW)
    source = stitched(old, new)
    available(source)
    available(source, start=date(2020, 2, 20))
    both = ("A", "B")
    assert old.requests == [(both, FIRST, SEAM)]
    assert new.requests == [(both, date(2020, 2, 15), LAST), (both, date(2020, 2, 20), LAST)]


def test_events_come_from_who_supplies_the_bars_around_them():
    old = FrameSource(OLD, splits(("A", "2020-02-12", 0.5), ("A", "2020-02-20", 0.25)))
    new = FrameSource(NEW, splits(("A", "2020-02-12", 0.1), ("A", "2020-02-20", 0.2)))
    events = asyncio.run(stitched(old, new).fetch_events(["A"], FIRST, LAST))
    assert events.splits["ratio"].to_list() == [0.5, 0.2]


def test_events_of_a_provider_that_does_not_know_the_symbol_are_not_taken():
    known = FrameSource(NEW, splits(("A", "2020-02-12", 0.1)))
    other = feed(of("B", OLD))
    source = CompositeDataSource(
        [Supplier(other, "other"), Supplier(known, "known")], fallback=["unknown"]
    )

    async def deliveries():
        return [each async for each in source.deliver(["A", "B"], FIRST, LAST, ["1d"])]

    (delivery,) = asyncio.run(deliveries())
    assert delivery.events.splits["ratio"].to_list() == [0.1]
    assert not delivery.failures


def test_symbols_choose_their_provider():
    source = CompositeDataSource([
        Supplier(feed(), "old", symbols=["A*"]), Supplier(feed(NEW, "new"), "new", symbols=["B"]),
    ])  # fmt: skip
    fetched = available(source, ["A", "B", "C"])
    assert [row[:2] for row in suppliers(fetched)] == [("A", "old"), ("B", "new")]
    assert isinstance(fetched.failures["C"], UnknownSymbolError)
    assert asyncio.run(source.list_symbols()) == ["A", "B"]


FAILURES = {
    "delisted": DelistedSymbolError("gone"),
    "invalid": IMPOSSIBLE,
    "malformed": MalformedAnswerError("garbled"),
    "outage": OutageError("down"),
    "rate_limit": RateLimitError("slowly"),
    "refused": RefusedRequestError("no"),
    "unadjustable": UnadjustableError("no events"),
    "unauthorised": AuthenticationError("who are you"),
    "unknown": UnknownSymbolError(["A"], "old"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_the_next_provider_is_asked_for_the_chosen_reasons_only(kind):
    broken = FailingSource(OLD, {"A": FAILURES[kind]})
    given = [Supplier(broken, "old"), Supplier(feed(NEW), "new")]
    fetched = available(CompositeDataSource(given, fallback=[kind]))
    assert [row[:2] for row in suppliers(fetched)] == [("A", "old"), ("B", "old"), ("A", "new")]
    expected = pl.concat([of("A", NEW), of("B", OLD)])
    assert_frame_equal(fetched.bars, expected)
    others = [name for name in FAILURES if name != kind]
    fetched = available(CompositeDataSource(given, fallback=others))
    assert fetched.failures == {"A": FAILURES[kind]}
    assert fetched.bars["symbol"].unique().to_list() == ["B"]
    assert [row[:2] for row in suppliers(fetched)] == [("A", "old"), ("B", "old")]


def test_a_provider_that_does_not_reach_so_far_back_refuses():
    archive = Supplier(feed(TestMinutes.bars), "archive")
    day = date(2020, 3, 6)
    alone = available(CompositeDataSource([YFinanceDataSource()]), ["A"], day, day, "1m")
    assert isinstance(alone.failures["A"], RefusedRequestError)
    assert "Yahoo has 1m bars of the last 30 days" in str(alone.failures["A"])
    both = CompositeDataSource([YFinanceDataSource(), archive], fallback=["refused"])
    fetched = available(both, ["A"], day, day, "1m")
    assert [row[1] for row in suppliers(fetched)] == ["yfinance", "archive"]
    assert len(fetched.bars) == 1440


def test_an_absence_may_lead_to_the_next_provider():
    empty = feed(of("B", OLD), symbols=("A",))
    given = [Supplier(empty, "old"), Supplier(feed(NEW), "new")]
    assert list(available(CompositeDataSource(given, fallback=["unknown"])).absences) == ["A"]
    fetched = available(CompositeDataSource(given, fallback=["absence"]))
    assert [row[:2] + row[5:] for row in suppliers(fetched)] == [
        ("A", "old", "no bars"), ("B", "old", "supplied"), ("A", "new", "supplied"),
    ]  # fmt: skip


def test_that_a_provider_is_down_says_more_than_that_another_knows_nothing():
    down = FailingSource(OLD, {"A": OutageError("down")})
    stranger = feed(of("B", NEW))
    source = CompositeDataSource(
        [Supplier(down, "old"), Supplier(stranger, "new")], fallback=["outage", "unknown"]
    )
    assert str(available(source).failures["A"]) == "down"


def test_a_symbol_that_fails_in_one_part_has_no_bars_in_another():
    down = FailingSource(NEW, {"A": OutageError("down")})
    fetched = available(stitched(feed(), down))
    assert list(fetched.failures) == ["A"]
    assert fetched.bars["symbol"].unique().to_list() == ["B"]


def test_a_range_that_nobody_covers_is_refused():
    source = CompositeDataSource([Supplier(feed(), "old", end=SEAM)])
    with pytest.raises(RefusedRequestError, match="2020-02-15 to 2020-02-28"):
        available(source, ["A"]).complete()


def test_disagreements_are_reported_value_by_value():
    a, b, c = (date(2020, 1, day) for day in (2, 3, 6))
    ours = bars({"A": dict.fromkeys((a, b, c), (1, 1, 1, 1, 1))})
    theirs = ours.filter(pl.col("timestamp") != b).with_columns(
        pl.when(pl.col("timestamp") == c).then(1.25).otherwise(1.0).alias("high"), volume=1.0001
    )
    given = [Supplier(feed(ours), "ours"), Supplier(feed(theirs), "theirs")]
    fetched = available(CompositeDataSource(given, tolerance=0.001), ["A"], a, c)
    assert_frame_equal(fetched.bars, ours)
    found = fetched.provenance.disagreements
    assert found.schema == DISAGREEMENTS
    assert found.drop("timestamp", "symbol", "frequency").rows() == [
        ("bar", "ours", 1.0, "theirs", 0.0, float("inf")),
        ("high", "ours", 1.0, "theirs", 1.25, 0.2),
    ]
    assert [row[5] for row in suppliers(fetched)] == ["supplied", "compared"]
    exact = available(CompositeDataSource(given, tolerance=0), ["A"], a, c).provenance
    assert len(exact.disagreements) == 4


def test_providers_that_agree_have_no_disagreements():
    given = [Supplier(feed(), "one"), Supplier(feed(), "other")]
    fetched = available(CompositeDataSource(given, tolerance=0))
    assert fetched.provenance.disagreements.is_empty()


def test_a_provider_that_cannot_be_compared_is_no_failure():
    down = FailingSource(OLD, {"A": OutageError("down"), "B": OutageError("down")})
    given = [Supplier(feed(), "one"), Supplier(down, "other")]
    fetched = available(CompositeDataSource(given, tolerance=0))
    assert not fetched.failures
    assert {row[5] for row in suppliers(fetched)} == {"supplied", "OutageError: down"}


def test_different_adjustments_do_not_mix_unless_told():
    given = [Supplier(feed(), "raw"), Supplier(feed(NEW, adjustment="split"), "split")]
    with pytest.raises(OptionError, match="raw raw, split split"):
        CompositeDataSource(given, fallback=["outage"])
    told = CompositeDataSource(given, fallback=["outage"], adjustment="split")
    assert told.get_metadata().adjustment == "split"


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        ([], {}, "none"),
        ([feed(), feed()], {"fallback": ["outage"]}, "give each a name"),
        ([feed(), feed(name="new")], {}, "new would never be asked"),
        ([feed()], {"fallback": ["bad weather"]}, "bad weather; it must be of absence"),
    ],
)
def test_what_makes_no_sense_is_refused(given, options, text):
    with pytest.raises(OptionError, match=text):
        CompositeDataSource(given, **options)


@pytest.mark.parametrize(
    ("rule", "text"), [({"symbols": "A"}, "a list"), ({"start": LAST, "end": FIRST}, "after")]
)
def test_a_rule_that_makes_no_sense_is_refused(rule, text):
    with pytest.raises(OptionError, match=text):
        Supplier(feed(), **rule)


def test_a_frequency_is_asked_of_those_who_have_it():
    day = walk(["A"], minutes("2020-02-20", "2020-02-20"))
    source = CompositeDataSource(
        [Supplier(feed(), "daily"), Supplier(FrameSource(day), "minutes")], fallback=["outage"]
    )
    assert_frame_equal(available(source, ["A"], frequency="1m").bars, day)
    assert source.get_metadata().frequencies == ("1d", "1m")
    with pytest.raises(FrequencyError, match="1d, 1m"):
        available(source, frequency="5m")


def test_the_fingerprint_covers_every_provider_and_rule():
    made = [
        stitched(),
        stitched(feed(), feed(NEW, "newer")),
        stitched(feed(config={"folder": "b"}), feed(NEW, "new")),
        CompositeDataSource([Supplier(feed(), "old", end=SEAM)]),
        CompositeDataSource([Supplier(feed(), "old", end=LAST)]),
        CompositeDataSource([Supplier(feed(), "old", end=LAST)], fallback=["outage"]),
    ]
    assert len({each.get_metadata().fingerprint for each in made}) == len(made)


def test_it_streams_from_a_provider_that_does():
    with pytest.raises(SourceError, match="no provider of the composite streams A"):
        stitched().stream(["A"], "1d")
    assert stitched().supports_live() is False


RULES = """
fallback = ["outage"]
tolerance = 0.01

[[supplier]]
source = "csv"
name = "archive"
end = 2020-02-14
options = { path = "PATH" }

[[supplier]]
source = "csv"
name = "latest"
start = 2020-02-15
symbols = ["*"]
options = { path = "PATH" }
"""


def test_rules_are_read_from_a_file(tmp_path):
    table = of("A", OLD).select("timestamp", *VALUE_COLUMNS)
    table.rename({"timestamp": "date"}).write_csv(tmp_path / "A.csv")
    file = tmp_path / "rules.toml"
    file.write_text(RULES.replace("PATH", str(tmp_path)))
    source = CompositeDataSource.from_file(file)
    fetched = available(source, ["A"])
    assert_frame_equal(fetched.bars, of("A", OLD))
    assert [row[1] for row in suppliers(fetched)] == ["archive", "latest"]
    assert fetched.provenance.suppliers.schema == SUPPLIERS


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("fallback = [", SourceFileError, "cannot be read"),
        ("folback = []", OptionError, "folback; it can say fallback"),
        ("fallback = 7", OptionError, "fallback is 7"),
        ("[[supplier]]\nname = 'a'", OptionError, "supplier 1 names no source"),
        ("[[supplier]]\nsource = 'csv'\nfrom = 2020-01-01", OptionError, "says from"),
        ("supplier = [1]", OptionError, "supplier 1 names no source"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path, text, error, message):
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(error, match=message):
        CompositeDataSource.from_file(file)
