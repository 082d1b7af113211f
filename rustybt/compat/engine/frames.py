"""Series and frames made without the checks that pandas makes of anything: a fifth of the time.

What comes out is what the constructor makes of the same values. It rests on names of pandas 2 that
begin with an underscore; the tests compare with the constructors, and the package requires pandas
below 3.
"""

from typing import Any

import numpy.typing as npt
import pandas as pd
from pandas._libs.internals import BlockPlacement
from pandas.core.flags import Flags
from pandas.core.internals import BlockManager, SingleBlockManager
from pandas.core.internals.blocks import NumpyBlock


def series(values: npt.NDArray[Any], index: pd.Index, name: Any) -> pd.Series:
    """``pd.Series(values, index=index, name=name, copy=False)``.

    Parameters
    ----------
    values : ndarray of float64 or int64, shape (n,)
    index : pandas.Index
    """
    block = NumpyBlock(values, placement=BlockPlacement(slice(0, len(values))), ndim=1)
    made: pd.Series = _around(pd.Series, SingleBlockManager(block, index))
    made.__dict__["_name"] = name
    return made


def frame(values: npt.NDArray[Any], index: pd.Index, columns: pd.Index) -> pd.DataFrame:
    """``pd.DataFrame(values, index=index, columns=columns, copy=False)``.

    Parameters
    ----------
    values : ndarray of float64, shape (n, k)
    index, columns : pandas.Index
    """
    block = NumpyBlock(values.T, BlockPlacement(slice(0, len(columns))), ndim=2)
    axes = [columns, index]
    return _around(pd.DataFrame, BlockManager((block,), axes, verify_integrity=False))


def _around(kind: Any, manager: Any) -> Any:
    """What ``kind._from_mgr`` makes, where each attribute goes through ``object.__setattr__``."""
    made = object.__new__(kind)
    made.__dict__.update(
        _is_copy=None,
        _mgr=manager,
        _item_cache={},
        _attrs={},
        _flags=Flags(made, allows_duplicate_labels=True),
    )
    return made


def piece(index: pd.DatetimeIndex, start: int, stop: int) -> pd.DatetimeIndex:
    """``index[start:stop]``, without its name.

    Parameters
    ----------
    start, stop : int
        Not negative.
    """
    whole = index._data
    part = whole._from_backing_data(whole._ndarray[start:stop])
    part._freq = whole._freq
    made: pd.DatetimeIndex = pd.DatetimeIndex._simple_new(part)
    return made
