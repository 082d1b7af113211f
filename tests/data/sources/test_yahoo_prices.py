"""Yahoo's numbers back to the traded ones: no digit lost, none invented."""

from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from rustybt.data.bars import PRICE_COLUMNS
from rustybt.data.errors import UnadjustableError
from rustybt.data.sources._adjusted_close import require_explained
from rustybt.data.sources._yahoo_chart import session_dates
from rustybt.data.sources._yahoo_prices import (
    later_splits,
    raw_rows,
    shortest_within,
)

SPLITS = pl.DataFrame(
    {"ex_date": [date(2000, 6, 21), date(2005, 2, 28)], "ratio": [0.5, 1 / 7]},
)


def told(prices, factor, volume=7_000.0):
    """Rows as Yahoo tells them: divided, rounded to six decimals, as 32-bit floats."""
    single = np.float32(np.round(np.asarray(prices) / factor, 6)).astype(float)
    return pl.DataFrame(
        dict.fromkeys(PRICE_COLUMNS, single) | {"volume": [volume * factor] * len(prices)}
    )


@pytest.mark.parametrize(
    ("factor", "step"),
    [(1, 0.0001), (4, 0.0001), (28, 0.001), (224, 0.01), (5_000, 0.01), (0.1, 0.01)],
)
def test_traded_prices_come_back(factor, step):
    traded = np.round(np.arange(1, 400) * step + 20.0, 6)
    rows = raw_rows(told(traded, factor), np.full(len(traded), float(factor)))
    assert rows["close"].to_list() == traded.tolist()
    assert rows["volume"].unique().to_list() == [7_000.0]


def test_numbers_that_are_no_32_bit_floats_are_left_alone():
    exact = pl.DataFrame({name: [0.1234567890123] for name in PRICE_COLUMNS} | {"volume": [0.7]})
    assert raw_rows(exact, np.array([1.0])).equals(exact)


def test_a_bar_stays_valid_where_digits_are_lost():
    random = np.random.default_rng(7)
    low = random.uniform(1, 400, 5_000)
    steps = np.sort(random.uniform(0, 1e-3, (5_000, 3)), axis=1)
    names = ("low", "open", "close", "high")
    values = dict(zip(names, [low, *(low + step for step in steps.T)], strict=True))
    singles = {
        name: np.float32(np.round(each / 224, 6)).astype(float) for name, each in values.items()
    }
    rows = raw_rows(pl.DataFrame(singles | {"volume": 1.0}), np.full(5_000, 224.0))
    assert all((rows[a] <= rows[b]).all() for a, b in pairwise(names))


def test_the_shortest_decimal_is_the_one_taken():
    values = np.array([28.749952, 28.749952, 28.749952])
    assert shortest_within(values, np.array([1e-4, 1e-6, 0.0])).tolist() == [
        28.75,
        28.749952,
        28.749952,
    ]


def test_splits_count_from_the_day_before_they_happen():
    days = pl.Series([date(2000, 6, 20), date(2000, 6, 21), date(2005, 2, 27), date(2005, 2, 28)])
    assert later_splits(days, SPLITS).tolist() == [14.0, 7.0, 7.0, 1.0]
    assert later_splits(days, SPLITS.clear()).tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("utc", "timezone", "day"),
    [
        ("2020-03-06T14:30", "America/New_York", date(2020, 3, 6)),
        ("2020-03-09T13:30", "America/New_York", date(2020, 3, 9)),
        ("2020-06-30T23:00", "Europe/London", date(2020, 7, 1)),
        ("2020-06-30T22:00", "Europe/London", date(2020, 7, 1)),
        ("2020-07-01T00:00", "Asia/Tokyo", date(2020, 7, 1)),
        ("2020-07-01T22:15", "UTC", date(2020, 7, 1)),
    ],
)
def test_a_row_is_of_the_session_of_its_market(utc, timezone, day):
    starts = pl.Series([utc]).str.to_datetime(time_unit="us", time_zone="UTC")
    assert session_dates(starts, timezone).to_list() == [day]


DAYS = [date(2020, 1, day) for day in (2, 3, 6, 7)]
PAID = pl.DataFrame({"ex_date": [date(2020, 1, 6)], "amount": [1.0]})
NO_SPLITS = SPLITS.clear()


def closes(*adjusted):
    return pl.DataFrame(
        {"timestamp": DAYS, "close": [50.0, 50.0, 49.5, 50.0], "adjusted": adjusted}
    )


def test_dividends_explain_the_adjusted_close():
    require_explained("A", closes(49.0, 49.0, 49.5, 50.0), NO_SPLITS, PAID, 0, DAYS[-1])


def test_a_split_and_a_dividend_explain_it_together():
    split = pl.DataFrame({"ex_date": [date(2020, 1, 3)], "ratio": [0.5]})
    require_explained("A", closes(24.5, 49.0, 49.5, 50.0), split, PAID, 0, DAYS[-1])


@pytest.mark.parametrize(
    ("frame", "paid", "day"),
    [
        (closes(49.0, 49.0, 49.5, 50.0), PAID.clear(), "2020-01-03"),
        (closes(50.0, 50.0, 49.5, 50.0), PAID, "2020-01-03"),
        (closes(49.0, 49.0001, 49.5, 50.0), PAID, "2020-01-03"),
        (closes(48.0, 48.0, 48.5, 49.0), PAID, "2020-01-07"),
    ],
)  # fmt: skip
def test_what_is_not_explained_is_refused(frame, paid, day):
    with pytest.raises(UnadjustableError, match=f"A: .* of {day} "):
        require_explained("A", frame, NO_SPLITS, paid, 0, DAYS[-1])


def test_what_is_paid_after_the_last_bar_may_not_be_accounted_for_yet():
    today = PAID.with_columns(ex_date=pl.lit(date(2020, 1, 8)))
    plain = closes(50.0, 50.0, 49.5, 50.0)
    require_explained("A", plain, NO_SPLITS, today, 0, DAYS[-1])
    accounted = plain.with_columns(pl.col("adjusted") * 0.98)
    require_explained("A", accounted, NO_SPLITS, today, 0, DAYS[-1])


def test_sessions_after_the_range_need_no_explanation():
    wrong_later = closes(49.0, 49.0, 49.5, 51.0)
    require_explained("A", wrong_later.with_columns(adjusted=pl.Series([49.0, 49.0, 49.5, 51.0])),
                      NO_SPLITS, PAID, 0, DAYS[1])  # fmt: skip
