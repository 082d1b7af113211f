"""Bars written as CSV in a random layout come back as they were, exactly."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rustybt.data.bars import VALUE_COLUMNS, Frequency, conform
from rustybt.data.sources.csv import CSVDataSource
from tests.data.sources.files import packed

DATES = ["%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y", "%Y-%m-%d 00:00:00-05:00"]
INSTANTS = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ", "%Y%m%d %H%M%S", "%d.%m.%Y %I:%M %p", "epoch"]
ALIASES = {
    "open": ["Open", "o", "1. open"],
    "high": ["HIGH", "h"],
    "low": ["low", "L"],
    "close": ["Close", "last", "c"],
    "volume": ["Volume", "vol", "V"],
}


@st.composite
def decimals(draw, least=0):
    """A number of up to 15 significant digits, as text and as float."""
    digits = draw(st.integers(least, 10**15 - 1))
    scale = draw(st.integers(0, 10))
    text = f"{digits:0{scale + 1}}"
    return f"{text[:-scale]}.{text[-scale:]}" if scale else text


@st.composite
def tables(draw):
    """Symbol, moment and the five values, as text, of bars that can be true."""
    frequency = draw(st.sampled_from(["1d", "1m"]))
    rows = []
    for symbol in draw(st.lists(st.sampled_from(["AAA", "BRK.B", "NA"]), min_size=1, unique=True)):
        for step in draw(st.sets(st.integers(0, 300), min_size=2, max_size=12)):
            moment = (
                date(2019, 12, 20) + timedelta(days=step)
                if frequency == "1d"
                else datetime(2020, 2, 28, 23, 0, tzinfo=UTC) + timedelta(minutes=step)
            )
            prices = sorted(draw(st.lists(decimals(least=1), min_size=4, max_size=4)), key=float)
            low, one, other, high = prices
            opened, close = draw(st.permutations([one, other]))
            rows.append((symbol, moment, opened, high, low, close, draw(decimals())))
    return frequency, draw(st.permutations(rows))


def spelled(moment, date_format):
    if date_format == "epoch":
        return str(int(moment.timestamp()))
    return moment.strftime(date_format)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), table=tables())
def test_bars_come_back_exactly(data, table):
    frequency, rows = table
    draw = data.draw
    date_format = draw(st.sampled_from(DATES if frequency == "1d" else INSTANTS))
    delimiter = draw(st.sampled_from(",;\t|"))
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    comma = draw(st.booleans())
    names = ["Date", "Symbol", *(draw(st.sampled_from(ALIASES[name])) for name in VALUE_COLUMNS)]
    order = draw(st.permutations(range(7)))
    lines = [names]
    for symbol, moment, *values in rows:
        shown = [f'"{text}"' for text in values] if delimiter == "," and comma else values
        shown = [text.replace(".", ",") if comma else text for text in shown]
        lines.append([spelled(moment, date_format), symbol, *shown])
    text = line_end.join(delimiter.join(cells[place] for place in order) for cells in lines)
    packing = draw(st.sampled_from(["", ".gz", ".bz2", ".xz", ".zst", ".zip"]))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"bars.csv{packing}"
        path.write_bytes(
            packed(text + draw(st.sampled_from(["", line_end, line_end * 3])), packing)
        )
        source = CSVDataSource(path, frequency=frequency, decimal="," if comma else None)
        symbols = sorted({row[0] for row in rows})
        found = asyncio.run(source.fetch(symbols, None, None, frequency))
    assert_frame_equal(found, expected(frequency, rows), check_exact=True)


@settings(max_examples=50, deadline=None)
@given(
    zone=st.sampled_from(["America/New_York", "Europe/Berlin", "Asia/Tokyo", "Australia/Sydney"]),
    hours=st.sets(st.integers(0, 24 * 366), min_size=2, max_size=20),
)
def test_local_times_are_the_instants_that_the_zone_says(zone, hours):
    """Compared with the standard library, which knows timezones by itself."""
    instants = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in hours]
    local = {moment: moment.astimezone(ZoneInfo(zone)) for moment in instants}
    once = {m: text for m, text in local.items() if not _twice(text)}
    if not once:
        return
    lines = [f"{text:%Y-%m-%d %H:%M},1,1,1,1,1" for text in once.values()]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "X.csv"
        path.write_text("\n".join(["Date,Open,High,Low,Close,Volume", *lines]))
        source = CSVDataSource(path, timezone=zone, frequency="1h")
        found = asyncio.run(source.fetch(["X"], None, None, "1h"))
    assert found["timestamp"].to_list() == sorted(once)


def _twice(moment):
    return moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()


def expected(frequency, rows):
    flat = [(symbol, moment, *map(float, values)) for symbol, moment, *values in rows]
    frame = pl.DataFrame(flat, schema=["symbol", "timestamp", *VALUE_COLUMNS], orient="row")
    return conform(frame, Frequency.parse(frequency))
