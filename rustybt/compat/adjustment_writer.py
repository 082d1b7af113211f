"""zipline's adjustment writer on a store of bars: the same tables, without laying all bars out.

zipline's writer asks a reader for the closes of every session of the calendar, to tell what a
dividend was worth, and pandas for every row of its tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from zipline.data.adjustments import SQLiteAdjustmentWriter

from rustybt.compat._bar_store import BarStore


class StoreCloses:
    """What zipline's adjustment writer asks of a reader of daily bars.

    Parameters
    ----------
    store : BarStore
    sessions : pandas.DatetimeIndex
        Of the calendar, from the store's first session to its last.
    """

    def __init__(self, store: BarStore, sessions: pd.DatetimeIndex) -> None:
        self._store = store
        self.sessions = sessions

    def load_raw_arrays(
        self,
        columns: Sequence[str],
        start_date: pd.Timestamp,
        end_date: pd.Timestamp,
        assets: Any,
    ) -> list[Any]:
        """Values of each column, float64 of shape (sessions, assets), as zipline's readers do."""
        days = self.sessions[self.sessions.slice_indexer(start_date, end_date)]
        labels = days.values.astype("datetime64[D]").astype(np.int64)
        sids = np.asarray(assets, dtype=np.int64)
        return [self._store.column(name, labels, sids) for name in columns]


class AdjustmentWriter(SQLiteAdjustmentWriter):  # type: ignore[misc]
    """Writer of an adjustment database; the same calls and the same tables as zipline's."""

    def _write(self, tablename: str, expected_dtypes: Mapping[str, Any], frame: Any) -> None:
        """Append the rows of a table."""
        if frame is None or frame.index.name is not None or not _is_plain(frame):
            super()._write(tablename, expected_dtypes, frame)
            return
        super()._write(tablename, expected_dtypes, frame.iloc[:1])  # which checks, and makes it
        rest = frame.iloc[1:].reset_index()
        names = ", ".join(f'"{name}"' for name in rest.columns)
        places = ", ".join("?" * len(rest.columns))
        with self.conn:
            self.conn.executemany(
                f'INSERT INTO "{tablename}" ({names}) VALUES ({places})',  # noqa: S608
                zip(*(rest[name].tolist() for name in rest.columns), strict=True),
            )


def _is_plain(frame: pd.DataFrame) -> bool:
    """Whether a table has rows, all of plain numbers."""
    kinds = {frame.index.dtype.kind, *(dtype.kind for dtype in frame.dtypes)}
    return len(frame) > 1 and kinds <= set("iuf") and not frame.isna().to_numpy().any()
