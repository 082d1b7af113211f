"""A few days of a long file are what they are in the whole file, wherever they stand in it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import BarValidationError
from rustybt.data.sources._csv_text import parse_header
from rustybt.data.sources.csv import CSVDataSource
from tests.data.sources.files import HEADER, VALUES, days, fetch, put
from tests.frames import sessions

FIRST = date(2020, 1, 1)
MANY = [FIRST + timedelta(days=day) for day in range(120)]


def text(rows, end="\n"):
    return HEADER + end + end.join(f"{row},{VALUES}" for row in rows) + end


def inside(frame, first, last):
    return frame.filter(frame["timestamp"].is_between(first, last))


@settings(max_examples=30)
@given(
    order=st.sampled_from(["ascending", "descending", "shuffled"]),
    gone=st.sets(st.integers(0, 119), max_size=60),
    first=st.integers(0, 119),
    length=st.integers(0, 12),
    seconds=st.sampled_from(["", " 00:00:00"]),
    end=st.sampled_from(["\n", "\r\n"]),
    random=st.randoms(),
)
def test_a_short_range_is_the_piece_of_the_whole(
    tmp_path_factory, order, gone, first, length, seconds, end, random
):
    rows = [day for number, day in enumerate(MANY) if number not in gone]
    if order == "descending":
        rows.reverse()
    if order == "shuffled":
        random.shuffle(rows)
    folder = tmp_path_factory.mktemp("csv")
    put(folder, "A.csv", text([f"{row}{seconds}" for row in rows], end))
    start = MANY[first]
    stop = start + timedelta(days=length)
    assert_frame_equal(fetch(folder, ["A"], start, stop), inside(fetch(folder, ["A"]), start, stop))


def test_rows_before_are_not_parsed():
    data = text(MANY).encode()
    tail = parse_header(data, "A.csv", None, None).from_days([MANY[-1], MANY[-2]])
    rows = tail.columns({"date": 0})
    assert rows["date"].to_list()[-2:] == [str(day) for day in MANY[-2:]]
    assert len(rows) < 40
    assert rows["row"].to_list()[-1] == len(MANY) + 1


def test_a_row_that_cannot_be_read_is_named_by_its_line(tmp_path):
    put(tmp_path, "A.csv", text(MANY) + f"2020-06-01,{VALUES.replace('10', 'ten', 1)}\n")
    with pytest.raises(BarValidationError) as caught:
        fetch(tmp_path, ["A"], date(2020, 6, 1), date(2020, 6, 1))
    assert caught.value.findings["row"].to_list() == [len(MANY) + 2]


@pytest.mark.parametrize("quoted", ['"2020-04-29"', "2020-04-29"])
def test_a_file_with_quotes_is_read_whole(quoted):
    data = days(*map(str, MANY[:-2]), quoted, '"2020-04-29"').encode()
    whole = parse_header(data, "A.csv", None, None)
    assert whole.from_days([MANY[-1]]).start == whole.start


def test_an_ingest_of_files_without_columns_of_events_is_updated_by_their_last_rows(tmp_path):
    market = sessions("2020-01-02", "2020-06-30")
    for symbol in "AB":
        put(tmp_path / "csv", f"{symbol}.csv", text(market))
    source = CSVDataSource(tmp_path / "csv")
    evening = {"clock": lambda: datetime(2020, 6, 29, 23, tzinfo=UTC)}
    ingest(source, "b", start=market[0], end=market[-2], **evening)
    ingest(source, "b", update=True, clock=lambda: datetime(2020, 7, 1, tzinfo=UTC))
    ingest(source, "full", start=market[0], end=market[-1])
    parts, full = (open_bundle(name).metadata.content_hash for name in ("b", "full"))
    assert parts == full
