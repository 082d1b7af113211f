"""The shipped sample data, checked by code that shares nothing with the script that wrote it."""

import csv
import gzip
import runpy
from datetime import date
from itertools import pairwise
from pathlib import Path

import exchange_calendars
import pytest

from rustybt.data.samples import STOCKS

SYMBOLS = ["AAPL", "IBM", "MSFT"]
SCRIPT = Path(__file__).parents[2] / "scripts" / "derive_sample_events.py"
# adj_close has about 14 significant digits; the worst of the 9810 rows is off by 7e-14.
RELATIVE_TOLERANCE = 1e-12


def bars(symbol):
    with gzip.open(STOCKS / f"{symbol}.csv.gz", "rt", newline="") as lines:
        return list(csv.DictReader(lines))


def events(name, value, symbol):
    with (STOCKS / name).open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["symbol"] == symbol]
    found = {row["ex_date"]: float(row[value]) for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_close_and_events_give_back_the_adjusted_close(symbol):
    rows = bars(symbol)
    splits = events("splits.csv", "ratio", symbol)
    dividends = events("dividends.csv", "amount", symbol)
    factor = float(rows[-1]["adj_close"]) / float(rows[-1]["close"])
    for row in reversed(rows):
        close = float(row["close"])
        expected = pytest.approx(float(row["adj_close"]), rel=RELATIVE_TOLERANCE, abs=0)
        assert close * factor == expected, row["date"]
        factor *= splits.get(row["date"], 1.0)
        factor *= close / (close + dividends.get(row["date"], 0.0))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_there_is_one_row_for_each_session_of_new_york(symbol):
    calendar = exchange_calendars.get_calendar("XNYS", start="2000-03-01", end="2013-03-01")
    assert [row["date"] for row in bars(symbol)] == list(calendar.sessions.strftime("%Y-%m-%d"))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_bar_is_valid(symbol):
    for row in bars(symbol):
        o, h, low, c, v = (float(row[k]) for k in ("open", "high", "low", "close", "volume"))
        assert 0 < low <= min(o, c) <= max(o, c) <= h < 1e3, row
        assert 0 < v < 1e9, row


@pytest.mark.parametrize(
    ("symbol", "ex_dates"),
    [("AAPL", ["2000-06-21", "2005-02-28"]), ("IBM", []), ("MSFT", ["2003-02-18"])],
)
def test_prices_are_as_traded_and_halve_on_each_split(symbol, ex_dates):
    splits = events("splits.csv", "ratio", symbol)
    assert splits == dict.fromkeys(ex_dates, 0.5)
    rows = bars(symbol)
    for before, row in pairwise(rows):
        if row["date"] in splits:
            assert float(row["open"]) / float(before["close"]) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(("symbol", "count"), [("AAPL", 3), ("IBM", 52), ("MSFT", 37)])
def test_dividends_are_whole_cents_on_sessions(symbol, count):
    dividends = events("dividends.csv", "amount", symbol)
    assert len(dividends) == count
    assert dividends.keys() <= {row["date"] for row in bars(symbol)}
    assert all(amount > 0 and amount == round(amount, 2) for amount in dividends.values())


@pytest.mark.parametrize(
    ("symbol", "ex_date", "amount"),
    [("AAPL", "2012-08-09", 2.65), ("MSFT", "2004-11-15", 3.08), ("IBM", "2000-05-08", 0.13)],
)
def test_a_dividend_is_what_was_paid_then(symbol, ex_date, amount):
    # Microsoft paid 3.00 and 0.08; Apple's 2.65 was not yet divided by its 7:1 split of 2014.
    assert events("dividends.csv", "amount", symbol)[ex_date] == amount


def test_the_script_writes_the_shipped_files(tmp_path):
    names = "Ticker,Date,Open,High,Low,Close,Volume,Adj Close"
    lines = [",".join([s, *row.values()]) for s in SYMBOLS for row in bars(s)]
    source = tmp_path / "stocks.csv.gz"
    source.write_bytes(gzip.compress("\n".join([names, *lines, ""]).encode()))
    folder = tmp_path / "stocks"
    runpy.run_path(str(SCRIPT))["write_samples"](source, folder, SYMBOLS)
    for name in ["splits.csv", "dividends.csv"]:
        assert (folder / name).read_bytes() == (STOCKS / name).read_bytes()
    for name in [f"{symbol}.csv.gz" for symbol in SYMBOLS]:
        # Compressed bytes depend on the zlib at hand; what they hold does not.
        written, shipped = (gzip.decompress((f / name).read_bytes()) for f in (folder, STOCKS))
        assert written == shipped


def test_the_script_refuses_a_step_that_is_no_event(tmp_path):
    rows = [f"X,{date(2020, 1, day)},10,10,10,10,1,{adj}" for day, adj in [(2, 9.9876), (3, 10)]]
    source = tmp_path / "stocks.csv"
    source.write_text("\n".join(["Ticker,Date,Open,High,Low,Close,Volume,Adj Close", *rows, ""]))
    with pytest.raises(SystemExit, match=r"X 2020-01-03.*neither a split nor a dividend"):
        runpy.run_path(str(SCRIPT))["write_samples"](source, tmp_path / "out", ["X"])
