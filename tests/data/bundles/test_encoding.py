"""Bars in Parquet: the very floats come back, and other engines read the same decimals."""

from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles._encoding import decimal_scale, read_bars, write_bars
from rustybt.data.errors import CorruptVersionError
from tests.frames import sessions

DAYS = sessions("2000-01-03", "2001-12-31")

floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    st.integers(0, 10**15 - 1),
    st.integers(0, 18),
)
each_test_has_its_own_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def frame(values):
    size = len(values)
    columns = {name: pl.Series(values, dtype=pl.Float64) for name in VALUE_COLUMNS}
    axes = {"sid": pl.Series([7] * size, dtype=pl.Int64), "timestamp": DAYS[:size]}
    return pl.DataFrame({**axes, **columns})


def bits(values):
    return np.asarray(values, dtype=np.float64).view(np.int64).tolist()


@given(st.lists(floats, max_size=20) | st.lists(decimals.map(float), max_size=20))
@example([80000000000.37, 0.00001])
@example([0.0, -0.0])
@example([1.234e-5, 150_000_000.0, 0.7, 4.5e12])
@example([5e-324, 1.7976931348623157e308])
@example([0.1 + 0.2, 0.3])
@each_test_has_its_own_folder
def test_every_float_comes_back_to_the_bit(tmp_path, values):
    path = tmp_path / "bars.parquet"
    written = frame(values)
    write_bars(path, written)
    read = read_bars(path)
    assert read.drop(VALUE_COLUMNS).equals(written.drop(VALUE_COLUMNS))
    for name in VALUE_COLUMNS:
        assert bits(read[name]) == bits(values)


@given(st.integers(0, 8).flatmap(lambda places: st.tuples(
    st.just(places), st.lists(st.integers(0, 10**15 - 1), min_size=1, max_size=20)
)))  # fmt: skip
@example((2, [8000000000037, 1]))
@each_test_has_its_own_folder
def test_decimals_of_fifteen_digits_are_the_same_decimals_for_any_engine(tmp_path, drawn):
    places, integers = drawn
    expected = [Decimal(integer).scaleb(-places) for integer in integers]
    path = tmp_path / "bars.parquet"
    scales = write_bars(path, frame([float(value) for value in expected]))
    assert scales["close"] is not None
    assert scales["close"] <= places
    arrow = pq.read_table(path)["close"]
    assert arrow.to_pylist() == expected
    assert pl.read_parquet(path)["close"].to_list() == expected
    assert pl.scan_parquet(path).select("close").collect()["close"].to_list() == expected


@given(st.lists(decimals, min_size=1, max_size=20))
@each_test_has_its_own_folder
def test_a_decimal_column_never_shows_a_digit_that_was_not_written(tmp_path, values):
    path = tmp_path / "bars.parquet"
    scale = write_bars(path, frame([float(value) for value in values]))["open"]
    shown = pq.read_table(path)["open"].to_pylist()
    assert shown == (values if scale is not None else [float(value) for value in values])


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([], 0),
        ([0.0], 0),
        ([100.0, 7.0], 0),
        ([101.5, 7.25], 2),
        ([1.234e-5], 8),
        ([45_000.12, 1.234e-5], 8),
        ([4.5e12, 0.7], 1),
        ([999999999999999.0], 0),
        ([1e15], None),
        ([123456789.01, 1e-7], None),
        ([1 / 3], None),
        ([-0.0], None),
    ],
)
def test_the_scale_is_the_smallest_that_holds_every_value(values, scale):
    assert decimal_scale(np.array(values, dtype=np.float64)) == scale


def test_each_column_is_judged_by_itself(tmp_path):
    mixed = frame([1.0, 2.0]).with_columns(
        close=pl.Series([1.25, 2.5]), volume=pl.Series([0.1] * 2)
    )
    mixed = mixed.with_columns(low=pl.Series([1 / 3, 2 / 3]))
    scales = write_bars(tmp_path / "bars.parquet", mixed)
    assert scales == {"open": 0, "high": 0, "low": None, "close": 2, "volume": 1}


def test_a_price_column_is_stored_as_delta_encoded_integers(tmp_path):
    path = tmp_path / "bars.parquet"
    write_bars(path, frame([1.25] * 100))
    column = pq.read_metadata(path).row_group(0).column(2)
    assert column.path_in_schema == "open"
    assert column.physical_type == "INT64"
    assert "DELTA_BINARY_PACKED" in column.encodings


def test_some_columns_can_be_read_alone(tmp_path):
    path = tmp_path / "bars.parquet"
    write_bars(path, frame([1.25, 2.5]))
    assert read_bars(path, ("close",)).columns == ["sid", "timestamp", "close"]


def test_many_row_groups_come_back_in_order(tmp_path):
    size = 300_000
    values = np.arange(size) / 100
    big = pl.DataFrame(
        {"sid": np.zeros(size, dtype=np.int64), "timestamp": pl.Series([DAYS[0]] * size)}
        | dict.fromkeys(VALUE_COLUMNS, values)
    )
    path = tmp_path / "bars.parquet"
    write_bars(path, big)
    assert pq.read_metadata(path).num_row_groups > 2
    assert bits(read_bars(path)["high"]) == bits(values)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_file_cut_short_is_corrupt(tmp_path, share):
    path = tmp_path / "bars.parquet"
    write_bars(path, frame([1.25] * 200))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CorruptVersionError, match=r"bars\.parquet cannot be read"):
        read_bars(path)


def test_a_flipped_bit_in_the_values_is_noticed(tmp_path):
    path = tmp_path / "bars.parquet"
    random = np.random.default_rng(0).random(400)
    write_bars(path, frame(random))
    column = pq.read_metadata(path).row_group(0).column(4)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptVersionError, match=r"bars\.parquet cannot be read"):
        read_bars(path)


def test_a_missing_file_is_corrupt(tmp_path):
    with pytest.raises(CorruptVersionError, match=r"gone\.parquet"):
        read_bars(tmp_path / "gone.parquet")
