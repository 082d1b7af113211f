"""zipline's adjustment writer on a store of bars: the same tables, without laying all bars out.

zipline's writer asks a reader for the closes of every session of the calendar, to tell what a
dividend was worth, and pandas for every row of its tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from zipline.data.adjustments import SQLiteAdjustmentWriter

from rustybt.compat._bar_store import BarStore

#: Kind of a dtype -> type of a column in SQL.
_TYPES = {"i": "INTEGER", "u": "INTEGER", "f": "REAL"}


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
        """Append the rows of a table, which is made if it is not there."""
        if frame is None or frame.empty:  # pandas knows no types then
            self._append(tablename, dict.fromkeys(["index", *expected_dtypes], "TEXT"), [])
            return
        self._forget_if_empty(tablename)
        types = _types_of(frame, expected_dtypes)
        if types is None:
            super()._write(tablename, expected_dtypes, frame)
            return
        columns = [frame.index, *(frame[name] for name in frame.columns)]
        self._append(tablename, types, zip(*map(bound, columns), strict=True))

    def _forget_if_empty(self, table: str) -> None:
        """Drop a table without rows: all that is put into it would become text, and not be found.

        zipline's own writer leaves it, and its runs then fail or miss what was added.
        """
        if self._has(table) and not self.conn.execute(f'SELECT 1 FROM "{table}"').fetchone():  # noqa: S608
            self.conn.execute(f'DROP TABLE "{table}"')

    def _has(self, table: str) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE name = ?"
        return self.conn.execute(query, (table,)).fetchone() is not None

    def _append(
        self, table: str, types: Mapping[str, str], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        names = ", ".join(f'"{name}"' for name in types)
        places = ", ".join("?" * len(types))
        with self.conn:
            if not self._has(table):  # to the letter as pandas makes it
                columns = ",\n  ".join(f'"{name}" {kind}' for name, kind in types.items())
                self.conn.execute(f'CREATE TABLE "{table}" (\n{columns}\n)')
                self.conn.execute(f'CREATE INDEX "ix_{table}_index"ON "{table}" ("index")')
            self.conn.executemany(
                f'INSERT INTO "{table}" ({names}) VALUES ({places})',  # noqa: S608
                rows,
            )


def _types_of(frame: pd.DataFrame, expected: Mapping[str, Any]) -> dict[str, str] | None:
    """The types of a table's columns in SQL; None if they are not the plain numbers expected."""
    dtypes = {"index": frame.index.dtype, **dict(frame.dtypes)}
    plain = all(dtype.kind in _TYPES for dtype in dtypes.values()) and frame.index.name is None
    if not plain or set(frame.columns) != set(expected):
        return None
    if not all(np.issubdtype(dtypes[name], kind) for name, kind in expected.items()):
        return None
    return {name: _TYPES[dtype.kind] for name, dtype in dtypes.items()}


def bound(values: pd.Series | pd.Index) -> list[Any]:
    """Numbers as SQLite takes them; no number is a null."""
    if values.hasnans:
        return [None if value != value else value for value in values.tolist()]
    found: list[Any] = values.tolist()
    return found
