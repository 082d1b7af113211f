"""Corporate actions of a run, read from zipline's SQLite once instead of once a day and asset."""

from functools import cached_property
from typing import Any

import pandas as pd

_SECOND = 10**9
_TABLES = ("mergers", "dividends", "splits")

#: (when it takes effect, ratio), as `get_adjustments_for_sid` returns them.
Ratios = list[list[Any]]


class RunEvents:
    """The tables of an adjustment reader, in memory.

    Parameters
    ----------
    reader : zipline.data.adjustments.SQLiteAdjustmentReader
    """

    def __init__(self, reader: Any) -> None:
        self._connection = reader.conn

    def ratios(self, table: str, sid: int) -> Ratios:
        """The ratios of one table for one asset, in the table's order."""
        return [[pd.Timestamp(when), ratio] for when, ratio in self._ratios[table].get(sid, ())]

    @cached_property
    def _ratios(self) -> dict[str, dict[int, list[tuple[int, float]]]]:
        """By table and sid: when (nanoseconds since 1970), ratio."""
        found: dict[str, dict[int, list[tuple[int, float]]]] = {}
        for table in _TABLES:
            of_table = found[table] = {}
            rows = self._connection.execute(
                f"SELECT sid, effective_date, ratio FROM {table} ORDER BY rowid"  # noqa: S608
            )
            for sid, seconds, ratio in rows:
                of_table.setdefault(sid, []).append((seconds * _SECOND, ratio))
        return found

    def of_field(self, sid: int, field: str) -> list[tuple[int, float]]:
        """(nanoseconds since 1970, ratio) of what changes a field before it.

        By table, in zipline's order; a volume is divided by the ratio of a split.
        """
        if field == "volume":
            return [(when, 1.0 / ratio) for when, ratio in self._ratios["splits"].get(sid, ())]
        return [event for table in _TABLES for event in self._ratios[table].get(sid, ())]

    def factor(self, sid: int, after: int, until: int) -> float:
        """What a price of one moment is multiplied by when it is seen from a later one.

        Moments are nanoseconds since 1970. Tables in the order of zipline's `get_adjustments`,
        which stops at the first row of a table that is later.
        """
        product = 1.0
        for table in ("splits", "mergers", "dividends"):
            for when, ratio in self._ratios[table].get(sid, ()):
                if when > until:
                    break
                if when > after:
                    product *= ratio
        return product

    @cached_property
    def splits(self) -> dict[int, list[tuple[int, float]]]:
        """(sid, ratio) of the splits, by the second at which they take effect."""
        found: dict[int, list[tuple[int, float]]] = {}
        for seconds, sid, ratio in self._connection.execute(
            "SELECT effective_date, sid, ratio FROM splits"
        ):
            found.setdefault(seconds, []).append((sid, ratio))
        return found

    @cached_property
    def payout_dates(self) -> frozenset[int]:
        """Ex-dates, in seconds since 1970, of all dividends in cash and in stock."""
        return frozenset(
            seconds
            for table in ("dividend_payouts", "stock_dividend_payouts")
            for (seconds,) in self._connection.execute(
                f"SELECT DISTINCT ex_date FROM {table}"  # noqa: S608
            )
        )
