"""Our adjustment writer makes the very database that zipline's makes, and warns of the same."""

import sqlite3

import numpy as np
import pandas as pd
import pytest
from zipline.data.adjustments import SQLiteAdjustmentWriter
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.adjustment_writer import AdjustmentWriter, StoreCloses
from rustybt.compat.bar_writers import DailyBarWriter
from rustybt.compat.store_readers import DailyBarReader

FIRST, LAST = pd.Timestamp("2020-01-02"), pd.Timestamp("2020-12-31")
SESSIONS = get_calendar("XNYS").sessions_in_range(FIRST, LAST)
DAYS = pd.to_datetime(["2020-01-02", "2020-03-04", "2020-06-30", "2021-02-01", "2020-08-03"])
DIVIDENDS = pd.DataFrame(
    {
        "sid": [1, 3, 1, 3, 9],
        "ex_date": DAYS,
        "declared_date": DAYS,
        "record_date": DAYS,
        "pay_date": DAYS,
        "amount": [0.2, 0.31, 0.5, 0.1, 1.0],
    }
)
SPLITS = pd.DataFrame({"sid": [1, 3], "effective_date": DAYS[:2], "ratio": [0.5, 1 / 3]})
STOCK = DIVIDENDS.drop(columns="amount").assign(payment_sid=3, ratio=0.1)
CASES = {
    "nothing": {},
    "all": {"splits": SPLITS, "mergers": SPLITS, "dividends": DIVIDENDS, "stock_dividends": STOCK},
    "one row": {"splits": SPLITS[:1], "dividends": DIVIDENDS[1:2]},
    "paid never": {"dividends": DIVIDENDS.assign(pay_date=pd.NaT)},
    "more than the price": {"dividends": DIVIDENDS.assign(amount=500.0)},
    "no ratio": {"splits": SPLITS.assign(ratio=[np.nan, 0.5])},
    "in seconds": {"splits": SPLITS.assign(effective_date=DAYS[:2].astype("int64") // 10**9)},
    "other index": {"splits": SPLITS.set_axis(["a", "b"]), "mergers": SPLITS.set_axis([7, 4])},
    "named index": {"splits": SPLITS.rename_axis("row")},
    "other columns": {"splits": SPLITS.assign(colour=1)},
    "text": {"splits": SPLITS.assign(sid=["1", "3"])},
    "whole amounts": {"dividends": DIVIDENDS.assign(amount=1)},
}


@pytest.fixture(scope="module", params=["full", "bcolz"])
def store(request, tmp_path_factory):
    writer = DailyBarWriter(
        tmp_path_factory.mktemp("store"), get_calendar("XNYS"), FIRST, LAST, request.param
    )
    prices = np.linspace(10, 20, len(SESSIONS)).round(2)
    prices[40] = 0.0  # no trade
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices), SESSIONS)
    frames = {1: frame[30:], 2: frame, 3: frame[: len(SESSIONS) - 20]}
    writer.write((sid, each.assign(volume=100.0)) for sid, each in frames.items())
    return writer.store


def written(writer, reader, path, tables):
    made = writer(str(path), reader, overwrite=True)
    try:
        made.write(**{name: table.copy() for name, table in tables.items()})
        made.write(**{name: table.copy() for name, table in tables.items()})  # which adds to it
    except (TypeError, ValueError, KeyError) as error:
        return type(error), str(error)
    finally:
        made.close()
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("tables", CASES.values(), ids=CASES.keys())
def test_the_database_and_the_warnings_are_those_of_zipline(tmp_path, caplog, store, tables):
    expected = written(
        SQLiteAdjustmentWriter, DailyBarReader(store.directory), tmp_path / "zipline", tables
    )
    warned = caplog.messages.copy()
    caplog.clear()
    ours = written(AdjustmentWriter, StoreCloses(store, SESSIONS), tmp_path / "ours", tables)
    assert (ours, caplog.messages) == (expected, warned)


def test_closes_are_what_the_reader_of_the_store_returns(store):
    sids = [3, 9, 1]
    for name in ("close", "volume"):
        (ours,) = StoreCloses(store, SESSIONS).load_raw_arrays([name], FIRST, LAST, sids)
        (expected,) = DailyBarReader(store.directory).load_raw_arrays([name], FIRST, LAST, sids)
        np.testing.assert_array_equal(ours, expected)
