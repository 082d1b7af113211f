"""Bars on their way into a version, kept on disk by period so that memory stays bounded.

Symbols arrive a batch at a time, each over the whole range of dates; Parquet files hold a period
of time each, over all symbols. In between, the bars lie in one Arrow stream a period.
"""

from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.ipc

from rustybt.data.bars import VALUE_COLUMNS, Frequency

_COLUMNS = ("sid", "symbol", "timestamp", "session", *VALUE_COLUMNS)


def period_format(frequency: Frequency) -> str:
    """How a file of bars is named after its time: by year, or by month for intraday bars."""
    return "%Y-%m" if frequency.intraday else "%Y"


class Spill:
    """Bars of one frequency, by period.

    Parameters
    ----------
    directory : pathlib.Path
        Will be made; the caller removes it.
    frequency : Frequency
    """

    def __init__(self, directory: Path, frequency: Frequency) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._format = period_format(frequency)
        self._writers: dict[str, pa.ipc.RecordBatchStreamWriter] = {}
        self.sids: set[int] = set()
        #: First and last session with a bar.
        self.span: tuple[date, date] | None = None

    def add(self, bars: pl.DataFrame, session: pl.Series | None = None) -> None:
        """Keep a batch of bars with their sids.

        Parameters
        ----------
        session : polars.Series of Date, optional
            The session of each bar, which decides its period; the timestamp itself for daily bars.
        """
        when = (session if session is not None else bars["timestamp"]).alias("session")
        keyed = (
            bars.with_columns(when)
            .select(_COLUMNS)
            .with_columns(when.dt.strftime(self._format).alias("period"))
        )
        for (period,), part in keyed.partition_by(
            "period", include_key=False, as_dict=True
        ).items():
            table = part.to_arrow(compat_level=pl.CompatLevel.oldest())
            self._writer(str(period), table.schema).write_table(table)
        self.sids.update(bars["sid"].unique())
        days = [when.min(), when.max(), *(self.span or ())]
        known = [day for day in days if isinstance(day, date)]
        self.span = (min(known), max(known)) if known else None

    def _writer(self, period: str, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
        if period not in self._writers:
            path = self._directory / f"{period}.arrow"
            self._writers[period] = pa.ipc.new_stream(str(path), schema)
        return self._writers[period]

    def periods(self) -> list[str]:
        """Names of the periods with bars, the earliest first; nothing can be added after this."""
        for writer in self._writers.values():
            writer.close()
        return sorted(self._writers)

    def read(self, period: str) -> pl.DataFrame:
        """The bars of a period, with their ``session``, sorted by (sid, timestamp)."""
        with pa.memory_map(str(self._directory / f"{period}.arrow")) as source:
            frame = pl.DataFrame(pa.ipc.open_stream(source).read_all())
        return frame.sort("sid", "timestamp")
