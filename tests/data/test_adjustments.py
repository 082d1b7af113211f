"""Splits and dividends: what they do to prices, by hand and in general."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rustybt.data.adjustments import (
    EVENT_SCHEMAS,
    Events,
    adjust,
    conform_events,
    merge_events,
    price_ratios,
    unadjust,
)
from rustybt.data.bars import PRICE_COLUMNS
from rustybt.data.errors import BarSchemaError, BarValidationError
from tests.frames import bars, dividends, sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-01-10")
LATER = date(2021, 1, 1)


def flat(symbol="X", closes=(100, 100, 100, 25, 25, 25, 25), volume=10):
    """Bars whose four prices are the close, one session after another."""
    return bars(
        {symbol: {day: (close,) * 4 + (volume,) for day, close in zip(DAYS, closes, strict=True)}}
    )


def closes(frame):
    return frame["close"].to_list()


def both(one, other):
    return Events(splits=one.splits, dividends=other.dividends)


def test_a_split_divides_earlier_prices_and_multiplies_earlier_volumes():
    ratios = price_ratios(flat(), splits(("X", "2020-01-07", 0.25)))
    seen = adjust(flat(), ratios, as_of=LATER)
    assert closes(seen) == [25.0] * 7
    assert seen["volume"].to_list() == [40.0] * 3 + [10.0] * 4
    assert all(seen[name].to_list() == [25.0] * 7 for name in PRICE_COLUMNS)


def test_a_reverse_split_multiplies_earlier_prices():
    raw = flat(closes=(1, 1, 10, 10, 10, 10, 10))
    seen = adjust(raw, price_ratios(raw, splits(("X", "2020-01-06", 10.0))), as_of=LATER)
    assert closes(seen) == [10.0] * 7
    assert seen["volume"].to_list() == [1.0, 1.0, 10.0, 10.0, 10.0, 10.0, 10.0]


def test_a_dividend_takes_its_share_of_the_close_before():
    raw = flat(closes=(50, 50, 40, 39, 39, 39, 39))
    paid = dividends(("X", "2020-01-07", 1.0, None))
    ratios = price_ratios(raw, paid)
    assert ratios.rows() == [("X", date(2020, 1, 7), "dividend", 1 - 1 / 40)]
    seen = adjust(raw, ratios, as_of=LATER)
    assert closes(seen) == pytest.approx([48.75, 48.75, 39, 39, 39, 39, 39])
    assert seen["volume"].to_list() == [10.0] * 7


def test_a_split_and_a_dividend_multiply():
    events = both(splits(("X", "2020-01-07", 0.25)), dividends(("X", "2020-01-09", 5.0, None)))
    ratios = price_ratios(flat(), events)
    assert ratios["ratio"].to_list() == [0.25, 0.8]
    assert closes(adjust(flat(), ratios, as_of=LATER)) == [20, 20, 20, 20, 20, 25, 25]


def test_a_split_and_a_dividend_on_one_date_both_act():
    events = both(splits(("X", "2020-01-07", 0.25)), dividends(("X", "2020-01-07", 20.0, None)))
    seen = adjust(flat(), price_ratios(flat(), events), as_of=LATER)
    assert closes(seen) == [20.0] * 3 + [25.0] * 4
    assert seen["volume"].to_list() == [40.0] * 3 + [10.0] * 4


def test_two_dividends_on_one_date_both_act():
    paid = dividends(("X", "2020-01-03", 10.0, None), ("X", "2020-01-03", 50.0, None))
    seen = adjust(flat(), price_ratios(flat(), paid), as_of=LATER)
    assert closes(seen)[:2] == [pytest.approx(100 * 0.9 * 0.5), 100]


def test_the_close_before_is_that_of_the_last_bar_there_is():
    raw = flat(closes=(50, 40, 30, 20, 20, 20, 20)).filter(pl.col("close") != 30)
    ratios = price_ratios(raw, dividends(("X", "2020-01-07", 4.0, None)))
    assert ratios["ratio"].to_list() == [1 - 4 / 40]


@pytest.mark.parametrize(
    ("ex_date", "amount"), [("2020-01-02", 1.0), ("2019-01-02", 1.0), ("2020-01-03", 100.0)]
)
def test_a_dividend_without_a_price_to_take_it_from_gives_no_ratio(ex_date, amount):
    assert price_ratios(flat(), dividends(("X", ex_date, amount, None))).is_empty()


def test_an_ex_date_between_sessions_acts_on_the_bars_before_it():
    raw = flat()
    weekend = splits(("X", "2020-01-05", 0.5))
    seen = adjust(raw, price_ratios(raw, weekend), as_of=LATER)
    assert closes(seen) == [50, 50, 100, 25, 25, 25, 25]


@pytest.mark.parametrize(
    ("as_of", "first"),
    [("2020-01-06", 100.0), ("2020-01-07", 25.0), ("2020-01-08", 25.0), ("2020-01-09", 50.0)],
)
def test_a_view_knows_only_what_has_happened(as_of, first):
    events = splits(("X", "2020-01-07", 0.25), ("X", "2020-01-09", 2.0))
    seen = adjust(flat(), price_ratios(flat(), events), as_of=date.fromisoformat(as_of))
    assert closes(seen)[0] == first


def test_events_of_one_symbol_leave_another_alone():
    raw = pl.concat([flat("A"), flat("X")])
    seen = adjust(raw, price_ratios(raw, splits(("X", "2020-01-07", 0.25))), as_of=LATER)
    assert_frame_equal(seen.filter(pl.col("symbol") == "A"), flat("A"))
    assert closes(seen.filter(pl.col("symbol") == "X")) == [25.0] * 7


def test_only_the_kinds_that_are_handed_in_act():
    events = both(splits(("X", "2020-01-07", 0.25)), dividends(("X", "2020-01-09", 5.0, None)))
    ratios = price_ratios(flat(), events).filter(pl.col("kind") == "split")
    assert closes(adjust(flat(), ratios, as_of=LATER)) == [25.0] * 7


def test_rows_keep_their_order_and_columns():
    raw = pl.concat([flat("X"), flat("A")]).reverse().with_columns(row=pl.int_range(14))
    seen = adjust(raw, price_ratios(raw, splits(("X", "2020-01-07", 0.25))), as_of=LATER)
    assert seen["row"].to_list() == list(range(14))
    assert seen.columns == raw.columns


@pytest.mark.parametrize("frame", [flat(), flat().clear()], ids=["bars", "no bars"])
def test_without_events_nothing_changes(frame):
    ratios = price_ratios(frame, Events())
    assert_frame_equal(adjust(frame, ratios, as_of=LATER), frame)
    assert_frame_equal(unadjust(frame, ratios), frame)


# A random history of three symbols; ex-dates may fall on sessions and between them.
HISTORY = walk(["A", "B", "C"], sessions("2020-01-02", "2020-03-31"), seed=7)
ex_dates = st.integers(0, 90).map(lambda days: date(2020, 1, 2) + timedelta(days=days))
split_rows = st.tuples(
    st.sampled_from("ABC"), ex_dates, st.sampled_from([0.1, 0.25, 0.5, 2 / 3, 1.5, 2.0, 10.0])
)
dividend_rows = st.tuples(st.sampled_from("ABC"), ex_dates, st.floats(0.01, 3.0))


@st.composite
def histories(draw):
    one = draw(st.lists(split_rows, max_size=6, unique_by=lambda row: row[:2]))
    other = draw(st.lists(dividend_rows, max_size=6))
    key = ["symbol", "ex_date"]
    return Events(
        splits=conform_events("splits", pl.DataFrame(one, [*key, "ratio"], orient="row")
                              if one else Events().splits),
        dividends=conform_events("dividends", pl.DataFrame(other, [*key, "amount"], orient="row")
                                 if other else Events().dividends),
    )  # fmt: skip


@given(histories(), ex_dates)
def test_adjusting_is_what_a_loop_over_the_events_does(events, as_of):
    ratios = price_ratios(HISTORY, events)
    seen = adjust(HISTORY, ratios, as_of)
    price, volume = _by_hand(HISTORY, events, as_of)
    assert seen["close"].to_list() == pytest.approx(price, rel=1e-12)
    assert seen["volume"].to_list() == pytest.approx(volume, rel=1e-12)


def _by_hand(raw, events, as_of):
    """Adjusted closes and volumes, one bar and one event after the other."""
    rows = list(raw.select("symbol", "timestamp", "close", "volume").iter_rows())
    prices, volumes = [], []
    for symbol, session, close, volume in rows:
        price, shares = close, volume
        for who, ex_date, ratio in events.splits.iter_rows():
            if who == symbol and session < ex_date <= as_of:
                price, shares = price * ratio, shares / ratio
        for who, ex_date, amount, *_ in events.dividends.iter_rows():
            before = [c for s, day, c, _ in rows if s == who and day < ex_date]
            if who == symbol and session < ex_date <= as_of and before and amount < before[-1]:
                price *= 1 - amount / before[-1]
        prices.append(price)
        volumes.append(shares)
    return prices, volumes


@given(histories())
def test_unadjusting_undoes_adjusting(events):
    ratios = price_ratios(HISTORY, events)
    adjusted = adjust(HISTORY, ratios, as_of=LATER)
    assert_frame_equal(unadjust(adjusted, ratios), HISTORY, rel_tol=1e-12, abs_tol=0)


@given(histories(), ex_dates, ex_dates)
def test_what_happens_later_changes_no_earlier_view(events, as_of, cut):
    known = {kind: frame.filter(pl.col("ex_date") <= as_of) for kind, frame in events.items()}
    seen = HISTORY.filter(pl.col("timestamp") <= max(as_of, cut))
    with_future = adjust(HISTORY, price_ratios(HISTORY, events), as_of)
    without = adjust(seen, price_ratios(seen, Events(**known)), as_of)
    assert_frame_equal(without, with_future.filter(pl.col("timestamp") <= max(as_of, cut)))


def test_events_are_brought_into_their_schemas():
    rough = pl.DataFrame({"amount": [1, 2], "ex_date": [datetime(2020, 2, 3), datetime(2020, 1, 3)],
                          "symbol": ["X", "X"], "note": ["a", "b"]})  # fmt: skip
    found = conform_events("dividends", rough)
    assert found.schema == EVENT_SCHEMAS["dividends"]
    assert found["amount"].to_list() == [2.0, 1.0]
    assert found["pay_date"].to_list() == [None, None]


@pytest.mark.parametrize("kind", EVENT_SCHEMAS)
def test_no_events_are_in_their_schemas(kind):
    frame = dict(Events().items())[kind]
    assert conform_events(kind, frame).schema == EVENT_SCHEMAS[kind]
    assert len(Events()) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": [0.0]}, "ratio 0.0 must be above zero"),
        ({"ratio": [-0.5]}, "ratio -0.5 must be above zero"),
        ({"ratio": [float("nan")]}, "ratio NaN must be above zero"),
        ({"ratio": [float("inf")]}, "ratio inf must be above zero"),
        ({"ratio": pl.Series([None], dtype=pl.Float64)}, "ratio missing must be above zero"),
        ({"ex_date": pl.Series([None], dtype=pl.Date)}, "no symbol or date"),
        ({"symbol": pl.Series([None], dtype=pl.String)}, "no symbol or date"),
    ],
    ids=["zero", "negative", "nan", "infinite", "missing", "no date", "no symbol"],
)
def test_an_event_that_cannot_be_is_an_error(change, message):
    good = {"symbol": ["X"], "ex_date": [date(2020, 1, 3)], "ratio": [0.5]}
    with pytest.raises(BarValidationError, match=message):
        conform_events("splits", pl.DataFrame({**good, **change}))


def test_an_event_that_cannot_be_comes_with_its_file_and_row():
    frame = splits(("X", "2020-01-03", -1.0)).splits.with_columns(file=pl.lit("s.csv"))
    with pytest.raises(BarValidationError, match=r"s\.csv, row 7: X 2020-01-03"):
        conform_events("splits", frame.with_columns(pl.lit(7).alias("row")))


def test_merged_events_keep_each_note_once():
    parts = [Events(notes=("a", "b")), Events(), Events(notes=("b", "c"))]
    assert merge_events(parts).notes == ("a", "b", "c")


def test_two_splits_on_one_date_are_an_error_and_two_dividends_are_not():
    twice = splits(("X", "2020-01-03", 0.5), ("X", "2020-01-03", 0.25)).splits
    with pytest.raises(BarValidationError, match="the splits have this date twice"):
        conform_events("splits", twice)
    paid = dividends(("X", "2020-01-03", 0.5, None), ("X", "2020-01-03", 0.5, None)).dividends
    assert len(conform_events("dividends", paid)) == 2


@pytest.mark.parametrize("column", ["symbol", "ex_date", "ratio"])
def test_a_missing_column_of_events_is_named(column):
    frame = splits(("X", "2020-01-03", 0.5)).splits.drop(column)
    with pytest.raises(BarSchemaError, match=f"splits have no column {column}"):
        conform_events("splits", frame)
