"""zipline's two databases say what the bundle's Parquet files say."""

import shutil
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from zipline.errors import SymbolNotFound
from zipline.pipeline.domain import BUILT_IN_DOMAINS

from rustybt.compat.bundles import load
from rustybt.data.adjustments import MERGERS, STOCK_DIVIDENDS, Events
from rustybt.data.bundles import BundleMetadata, open_bundle
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import dividends, sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-01-31")
BARS = pl.concat([walk(["A"], DAYS), walk(["B"], DAYS[3:-4], seed=1)])


def data(bars=BARS, events=None, **options):
    ingest(FrameSource(bars, events), "b", **options)
    return load("b")


def test_the_finder_knows_every_asset_with_its_sid_and_its_life():
    finder = data().asset_finder
    assets = finder.retrieve_all(finder.sids)
    lives = [
        (int(a.sid), a.symbol, a.exchange, a.start_date.date(), a.end_date.date()) for a in assets
    ]
    assert lives == [(0, "A", "XNYS", DAYS[0], DAYS[-1]), (1, "B", "XNYS", DAYS[3], DAYS[-5])]
    closes = [asset.auto_close_date - asset.end_date for asset in assets]
    assert closes == [pd.Timedelta(days=1)] * 2


def test_sids_are_those_of_the_bundle_whatever_was_ingested_before():
    ingest(FrameSource(walk(["Z", "B"], DAYS)), "b")
    finder = data().asset_finder
    assert finder.lookup_symbol("B", pd.Timestamp(DAYS[5])).sid == 0
    assert finder.lookup_symbol("A", pd.Timestamp(DAYS[5])).sid == 2
    with pytest.raises(SymbolNotFound):
        finder.lookup_symbol("Z", pd.Timestamp(DAYS[5]))


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XHKG", "XTKS", "24/7"])
def test_an_asset_is_in_the_country_of_its_calendar(calendar):
    monday = walk(["A"], [date(2020, 1, 6)])
    finder = data(monday, calendar=calendar).asset_finder
    countries = {domain.calendar_name: domain.country_code for domain in BUILT_IN_DOMAINS}
    assert finder.retrieve_asset(0).country_code == countries.get(calendar, "??")


def adjustments(reader, asset):
    """What history across all days is adjusted by, for prices."""
    days = pd.DatetimeIndex(DAYS)
    found = reader.load_pricing_adjustments(["close"], days, pd.Index([asset]))[0]
    return {DAYS[row]: [each.value for each in every] for row, every in found.items()}


def test_splits_and_mergers_multiply_prices_before_them():
    merger = pl.DataFrame([("A", DAYS[8], 0.8)], schema=MERGERS, orient="row")
    events = Events(splits=splits(("A", DAYS[5].isoformat(), 0.25)).splits, mergers=merger)
    reader = data(events=events).adjustment_reader
    assert adjustments(reader, 0) == {DAYS[5]: [0.25], DAYS[8]: [0.8]}
    assert adjustments(reader, 1) == {}


def test_a_dividend_multiplies_prices_by_one_less_its_share_of_the_close_before():
    reader = data(events=dividends(("A", DAYS[5].isoformat(), 1.5, None))).adjustment_reader
    before = BARS["close"][4]
    assert adjustments(reader, 0) == {DAYS[5]: [1 - 1.5 / before]}


def payouts(data, symbol, day):
    asset = data.asset_finder.lookup_symbol(symbol, pd.Timestamp(DAYS[5]))
    found = data.adjustment_reader.get_dividends_with_ex_date(
        [asset], pd.Timestamp(day), data.asset_finder
    )
    return [(each.asset.symbol, each.amount, each.pay_date.date()) for each in found]


def test_a_dividend_is_paid_on_its_pay_date_or_else_on_its_ex_date():
    events = dividends(
        ("A", DAYS[5].isoformat(), 1.5, DAYS[9].isoformat()), ("B", DAYS[5].isoformat(), 0.1, None)
    )
    loaded = data(events=events)
    assert payouts(loaded, "A", DAYS[5]) == [("A", 1.5, DAYS[9])]
    assert payouts(loaded, "B", DAYS[5]) == [("B", 0.1, DAYS[5])]


def test_two_dividends_of_one_day_are_both_paid():
    day = DAYS[5].isoformat()
    loaded = data(events=dividends(("A", day, 1.5, day), ("A", day, 0.08, day)))
    assert sorted(payouts(loaded, "A", DAYS[5])) == [("A", 0.08, DAYS[5]), ("A", 1.5, DAYS[5])]


def test_a_dividend_on_the_first_session_is_paid_and_moves_no_price():
    loaded = data(events=dividends(("A", DAYS[0].isoformat(), 1.5, None)))
    assert payouts(loaded, "A", DAYS[0]) == [("A", 1.5, DAYS[0])]
    assert adjustments(loaded.adjustment_reader, 0) == {}


def test_events_of_a_symbol_without_bars_touch_nobody():
    events = Events(
        splits=splits(("GONE", DAYS[5].isoformat(), 0.5)).splits,
        dividends=dividends(("GONE", DAYS[6].isoformat(), 0.5, None)).dividends,
    )
    ingest(FrameSource(BARS, events, symbols=("GONE",)), "b")
    reader = load("b").adjustment_reader
    assert adjustments(reader, 0) == adjustments(reader, 1) == {}


def stock_dividends(*rows):
    frame = pl.DataFrame(
        rows, schema=["symbol", "ex_date", "payment_symbol", "ratio", "pay_date"], orient="row"
    )
    absent = [pl.lit(None, pl.Date).alias(name) for name in ("declared_date", "record_date")]
    return Events(stock_dividends=frame.with_columns(absent).select(STOCK_DIVIDENDS.names()))


def test_a_stock_dividend_is_paid_in_the_other_asset():
    loaded = data(events=stock_dividends(("A", DAYS[5], "B", 0.5, DAYS[9])))
    finder = loaded.asset_finder
    paid = loaded.adjustment_reader.get_stock_dividends_with_ex_date(
        finder.retrieve_all([0]), pd.Timestamp(DAYS[5]), finder
    )
    shown = [(e.asset.symbol, e.payment_asset.symbol, e.ratio, e.pay_date.date()) for e in paid]
    assert shown == [("A", "B", 0.5, DAYS[9])]


def test_a_stock_dividend_without_a_pay_date_is_paid_on_its_ex_date():
    loaded = data(events=stock_dividends(("A", DAYS[5], "B", 0.5, None)))
    finder = loaded.asset_finder
    paid = loaded.adjustment_reader.get_stock_dividends_with_ex_date(
        finder.retrieve_all([0]), pd.Timestamp(DAYS[5]), finder
    )
    assert [each.pay_date.date() for each in paid] == [DAYS[5]]
    assert BundleMetadata.load("b").notes == [
        "1 of 1 stock dividends have no pay date: a run pays them on the ex-date."
    ]


def test_a_stock_dividend_in_an_asset_that_is_not_there_is_noted():
    data(events=stock_dividends(("A", DAYS[5], "SPUN", 0.5, DAYS[9])))
    assert BundleMetadata.load("b").notes == [
        "1 stock dividends are paid in SPUN, of which there are no bars: a run leaves them out."
    ]


def test_they_are_built_once():
    data()
    directory = open_bundle("b").version.path / "zipline"
    before = {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}
    load("b")
    assert {path.name: path.stat().st_mtime_ns for path in directory.iterdir()} == before


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "one gone"])
def test_they_are_built_again_when_they_are_damaged(damage):
    data(events=splits(("A", DAYS[5].isoformat(), 0.25)))
    directory = open_bundle("b").version.path / "zipline"
    files = sorted(directory.glob("*.sqlite"))
    for path in files:
        content = path.read_bytes()
        if damage == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "flipped":
            path.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    if damage == "gone":
        shutil.rmtree(directory)
    elif damage == "one gone":
        files[0].unlink()
    again = load("b")
    assert adjustments(again.adjustment_reader, 0) == {DAYS[5]: [0.25]}
    assert np.array_equal(again.asset_finder.sids, [0, 1])
