"""What is made in a hurry is what the constructors make."""

import numpy as np
import pandas as pd
import pytest

from rustybt.compat.engine.frames import frame, piece, series

TIMES = pd.date_range("2020-01-01", periods=5, freq="B")
NAMES = pd.Index(["A", "B", "C"], dtype=object)


def attributes(made):
    """Names and types of what an object of pandas holds, but for its values."""
    held = {name: (type(value), value) for name, value in vars(made).items() if name != "_mgr"}
    assert held.pop("_flags")[1]._obj() is made
    return held


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_a_series_is_the_constructors(dtype):
    values = np.arange(5).astype(dtype)
    made, constructed = series(values, TIMES, "x"), pd.Series(values, index=TIMES, name="x")
    pd.testing.assert_series_equal(made, constructed)
    assert attributes(made) == attributes(constructed)
    assert made.index.freq == constructed.index.freq


@pytest.mark.parametrize("rows", [1, 5])
def test_a_frame_is_the_constructors(rows):
    values = np.random.default_rng(1).random((rows, 3))
    made = frame(values, TIMES[:rows], NAMES)
    constructed = pd.DataFrame(values, index=TIMES[:rows], columns=NAMES, copy=False)
    pd.testing.assert_frame_equal(made, constructed)
    assert attributes(made) == attributes(constructed)
    # Sums run along memory: another layout could end in other last bits.
    layouts = [each._mgr.blocks[0].values.strides for each in (made, constructed)]
    assert layouts[0] == layouts[1]


def test_a_frame_can_be_worked_with():
    made = frame(np.ones((5, 3)), TIMES, NAMES.copy())
    made["D"] = 2.0
    made.iloc[0, 0] = np.nan
    made.loc[TIMES[1], "B"] = 7
    assert made.ffill().bfill().sum().to_dict() == {"A": 5.0, "B": 11.0, "C": 5.0, "D": 10.0}
    assert made.T.shape == (4, 5)


def test_a_series_can_be_worked_with():
    made = series(np.arange(3.0), NAMES.copy(), "x")
    made["D"] = 9.0
    made.index.name = "names"
    assert (made * 2).to_dict() == {"A": 0.0, "B": 2.0, "C": 4.0, "D": 18.0}
    assert NAMES.name is None


@pytest.mark.parametrize("index", [TIMES, TIMES.tz_localize("UTC"), TIMES[[0, 2, 3, 4]]])
def test_a_piece_of_an_index_is_a_slice(index):
    made = piece(index, 1, 3)
    pd.testing.assert_index_equal(made, index[1:3])
    assert made.freq == index[1:3].freq
    made.name = "mine"
    assert index.name is None
