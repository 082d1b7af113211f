"""zipline's asset writer, quick where no asset can be in another one's way.

zipline looks through the assets one by one for symbols that two of them hold at a time, and for
several rows of one asset. Where every symbol and every sid occurs once there are none, and the
tables are the same without looking. Nor is pandas needed to hand rows to SQLite.
"""

from typing import Any

import pandas as pd
from zipline.assets import AssetDBWriter
from zipline.assets.asset_writer import (
    _dt_to_epoch_ns,
    _equities_defaults,
    _generate_output_dataframe,
    split_delimited_symbol,
)

_BOUND = (int, float, str, type(None))
_DATES = ("start_date", "end_date", "first_traded", "auto_close_date")
#: Columns that other columns are made of.
_ALIASES = frozenset({"company_name", "file_name"})


class AssetWriter(AssetDBWriter):  # type: ignore[misc]
    """Writer of an asset database; the same calls and the same tables as zipline's."""

    def _normalize_equities(self, equities: pd.DataFrame, exchanges: pd.DataFrame) -> Any:
        """The table of equities, and that of their symbols."""
        if not _is_plain(equities, exchanges):
            return super()._normalize_equities(equities, exchanges)
        # A copy: zipline gives its caller's frame the default columns, and changes no value of it.
        table = _generate_output_dataframe(equities, _equities_defaults).copy()
        for name in _DATES:
            table[name] = _dt_to_epoch_ns(table[name])
        parts = [split_delimited_symbol(symbol) for symbol in table["symbol"]]
        mappings = pd.DataFrame(
            {
                "symbol": table["symbol"].str.upper().to_numpy(),
                "company_symbol": [company for company, _ in parts],
                "share_class_symbol": [share_class for _, share_class in parts],
                "start_date": table["start_date"].to_numpy(),
                "end_date": table["end_date"].to_numpy(),
                "sid": table.index.to_numpy(),
            }
        )
        return table.drop(columns="symbol").sort_index(), mappings

    def _write_df_to_table(self, tbl: Any, df: pd.DataFrame, txn: Any, chunk_size: int) -> None:
        """Append the rows of a table, which is there."""
        rows = _rows_of(df) if txn.dialect.name == "sqlite" and not df.empty else None
        if rows is None:
            super()._write_df_to_table(tbl, df, txn, chunk_size)
            return
        names = [next(iter(tbl.primary_key.columns)).name, *df.columns]
        columns = ", ".join(f'"{name}"' for name in names)
        places = ", ".join("?" * len(names))
        txn.exec_driver_sql(
            f"INSERT INTO {tbl.name} ({columns}) VALUES ({places})",  # noqa: S608
            rows,
        )


def _rows_of(frame: pd.DataFrame) -> list[tuple[Any, ...]] | None:
    """A table's rows as SQLite takes them; None if there is more than numbers, dates and text."""
    columns = []
    for values in (frame.index.to_series(), *(frame[name] for name in frame.columns)):
        kind = values.dtype.kind
        own = (_dt_to_epoch_ns(values) if kind == "M" else values).tolist()
        if kind not in "iufMO" or not all(isinstance(value, _BOUND) for value in own):
            return None
        # What is no number is the only thing that differs from itself.
        columns.append([None if value != value else value for value in own])
    return list(zip(*columns, strict=True))


def _is_plain(equities: pd.DataFrame, exchanges: pd.DataFrame) -> bool:
    """Whether each row is one asset with a symbol of its own, on an exchange that is known."""
    if equities.empty or not {"symbol", "exchange"} <= set(equities.columns):
        return False
    if _ALIASES & set(equities.columns) or not equities.index.is_unique:
        return False
    symbols = equities["symbol"].tolist()
    if not all(isinstance(symbol, str) and symbol for symbol in symbols):
        return False
    known = exchanges.get("exchange", exchanges.index)
    own = len({symbol.upper() for symbol in symbols}) == len(symbols)
    return own and bool(equities["exchange"].isin(known).all())
