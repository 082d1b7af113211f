"""Answers that Yahoo and Alpha Vantage really gave; extra, where a folder of them lies nearby."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from rustybt.data.bars import Frequency, conform, require_valid
from rustybt.data.errors import MalformedAnswerError
from rustybt.data.sources._adjusted_close import require_explained
from rustybt.data.sources._alphavantage_answers import read_series
from rustybt.data.sources._alphavantage_bars import intraday_bars
from rustybt.data.sources._http import Answer
from rustybt.data.sources._yahoo_bars import daily_bars
from rustybt.data.sources._yahoo_chart import read_chart
from rustybt.data.sources._yahoo_prices import NO_SPLITS, split_events

FOLDERS = [parent / "shared/data/responses" for parent in Path(__file__).parents]
RESPONSES = next((folder for folder in FOLDERS if folder.is_dir()), None)
pytestmark = pytest.mark.skipif(RESPONSES is None, reason="there are no recorded answers")


def chart(name, symbol, interval="1d"):
    recorded = json.loads((RESPONSES / "yahoo" / f"{name}.json").read_text())["response"]
    body = json.dumps(recorded["bodyJson"]).encode()
    return read_chart(symbol, recorded["status"], body, interval)


NVDA = "historical-via-chart-NVDA-split-2021-02-01-to-2022-01-31.csv"
MSFT = "historical-via-chart-MSFT-dividends-2021-02-01-to-2022-01-31.csv"
TSLA = "historical-via-chart-dividends-TSLA-no-dividends"


@pytest.mark.parametrize(
    ("name", "symbol", "day", "close", "bars"),
    [
        ("chart-AAPL-2020-08-31-to-2020-11-07", "AAPL", date(2020, 8, 31), 129.04, 49),
        (NVDA, "NVDA", date(2021, 2, 1), 52.948, 252),  # 529.48, before a 10:1 in 2024
        (MSFT, "MSFT", date(2021, 2, 1), 239.65, 252),
        (TSLA, "TSLA", date(2023, 8, 11), 242.65, 3303),
        ("chart-BTC-USD-2020-01-01-to-2020-01-03", "BTC-USD", date(2020, 1, 1), 7200.1743, 3),
        ("chart-EURUSD=X-2020-01-01-to-2020-01-03", "EURUSD=X", date(2020, 1, 1), 1.1220826, 3),
        ("chart-OCDO.L-2020-01-01-to-2020-01-03", "OCDO.L", date(2020, 1, 2), 1259.5, 1),
    ],
)
def test_a_recorded_chart_becomes_valid_bars(name, symbol, day, close, bars):
    told = chart(name, symbol)
    splits = split_events(symbol, told)
    found = daily_bars(symbol, told, splits, "24/7", datetime(2025, 3, 1, tzinfo=UTC))
    valid = require_valid(conform(found, Frequency.parse("1d")))
    assert len(valid) == bars
    assert valid.filter(pl.col("timestamp") == day)["close"].to_list() == [close]


def test_recorded_dividends_explain_the_adjusted_close():
    told = chart(MSFT, "MSFT")
    closes = told.rows.rename({"session": "timestamp"})
    paid = told.dividends.rename({"session": "ex_date"})
    # The chart ends before later dividends: the last session is not explained.
    last = closes["timestamp"][-2]
    require_explained("MSFT", closes, NO_SPLITS, paid, 0.5e-6, last)


def test_a_recorded_range_without_minutes_has_no_rows():
    name = "chart-AAPL-2025-02-01-to-2025-02-02-includePrePost-false-interval-1m"
    assert chart(name, "AAPL", "1m").rows.is_empty()


def test_a_chart_with_prices_and_no_times_is_malformed():
    with pytest.raises(MalformedAnswerError, match="AAPL"):
        chart("chart-notimestamp-quotes-length.fake", "AAPL")


def test_recorded_minutes_of_alpha_vantage_are_labelled_at_their_end():
    body = (RESPONSES / "alphavantage" / "time_series_intraday.json").read_bytes()
    told = read_series(Answer(200, {}, body, "Alpha Vantage"))
    bars = intraday_bars("MSFT", told, Frequency.parse("1m"), "XNYS")
    valid = require_valid(conform(bars, Frequency.parse("1m")))
    assert len(valid) == 100
    # "2017-12-18 14:56:00" in New York, read as a start; in 2017 it was an end, which shows only at
    # an open or a close.
    assert valid.row(-1) == (
        "MSFT", datetime(2017, 12, 18, 19, 57, tzinfo=UTC), 86.49, 86.5, 86.475, 86.5, 10494.0
    )  # fmt: skip
