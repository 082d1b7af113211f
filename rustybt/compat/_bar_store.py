"""Bars as zipline's writers hand them over: pieces in a directory, until a version is made of them.

A store is a directory with ``store.json`` and one Arrow file a write: ``sid`` int64, ``label``
int64 (days or minutes since 1970, UTC) and the five values as float64. ``store.json`` is replaced
in one rename, so that a reader sees a write as a whole or not at all.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles.panel import Floats, Ints, Panel, Precision, empty_panel

_FILE = "store.json"
SCHEMA = pa.schema(
    [("sid", pa.int64()), ("label", pa.int64()), *((name, pa.float64()) for name in VALUE_COLUMNS)]
)


@dataclass(frozen=True)
class StoreInfo:
    """What a store says of itself.

    Attributes
    ----------
    calendar, start_session, end_session : str
        Name, and ISO dates.
    precision : {"full", "bcolz"}
    minutes_per_day : int or None
        For minute bars.
    ohlc_ratio : float
        Under ``bcolz``: what a price is multiplied by to become an integer.
    ohlc_ratios_per_sid : dict of str to float
    sid_attrs : dict of str to dict
        What a caller attached to a sid.
    last_labels : dict of str to int
        The last label that was written for a sid.
    pieces : tuple of str
        Files, in the order of their writing.
    """

    calendar: str
    start_session: str
    end_session: str
    precision: Precision = "full"
    minutes_per_day: int | None = None
    ohlc_ratio: float = 1000
    ohlc_ratios_per_sid: dict[str, float] = field(default_factory=dict)
    sid_attrs: dict[str, dict[str, object]] = field(default_factory=dict)
    last_labels: dict[str, int] = field(default_factory=dict)
    pieces: tuple[str, ...] = ()

    def ratio(self, sid: int) -> float:
        """The ratio of a sid's prices."""
        return self.ohlc_ratios_per_sid.get(str(sid), self.ohlc_ratio)


class BarStore:
    """A directory of pieces of bars.

    Parameters
    ----------
    directory : path
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)

    @property
    def exists(self) -> bool:
        """Whether there is a store in the directory."""
        return (self.directory / _FILE).is_file()

    @property
    def generation(self) -> tuple[int, int]:
        """Changes with every write."""
        status = os.stat(self.directory / _FILE)  # noqa: PTH116  on the path of every read
        return status.st_mtime_ns, status.st_ino

    def info(self) -> StoreInfo:
        """What the store says of itself."""
        raw = json.loads((self.directory / _FILE).read_text())
        return StoreInfo(**{**raw, "pieces": tuple(raw["pieces"])})

    def save(self, info: StoreInfo) -> None:
        """Replace what the store says of itself."""
        self.directory.mkdir(parents=True, exist_ok=True)
        aside = self.directory / f".{_FILE}"
        aside.write_text(json.dumps(asdict(info)))
        aside.replace(self.directory / _FILE)

    def append(self, batches: Iterable[pa.RecordBatch], *, replacing: bool = False) -> None:
        """Add one write. When `replacing`, it takes the place of all before it.

        The batches are consumed one at a time; if one raises, the store stays as it was.
        """
        before = self.info()
        name = f"{len(list(self.directory.glob('*.arrow'))):06d}.arrow"
        last: dict[str, int] = {} if replacing else dict(before.last_labels)
        path = self.directory / name
        try:
            with pa.ipc.new_stream(str(path), SCHEMA) as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    if len(batch):
                        last[str(batch["sid"][0].as_py())] = batch["label"][-1].as_py()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        pieces = (name,) if replacing else (*before.pieces, name)
        self.save(replace(before, pieces=pieces, last_labels=last))
        for stale in set(before.pieces) - set(pieces):
            (self.directory / stale).unlink(missing_ok=True)

    def truncate(self, label: int, end_session: str) -> None:
        """Drop every bar after `label` and end the store with `end_session`."""
        kept = self.frame().filter(pl.col("label") <= label)
        info = self.info()
        self.save(replace(info, end_session=end_session))
        tables = kept.partition_by("sid", maintain_order=True)
        batches = [b for t in tables for b in to_batches(t)]
        self.append(batches, replacing=True)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Each piece, a batch at a time, mapped from the disk."""
        for name in self.info().pieces:
            with pa.memory_map(str(self.directory / name)) as source:
                for batch in pa.ipc.open_stream(source):
                    yield pl.DataFrame(pa.Table.from_batches([batch]))

    def frame(self) -> pl.DataFrame:
        """All bars, sorted by (sid, label); of a bar that was written twice, the last."""
        empty = pl.DataFrame(SCHEMA.empty_table())
        frames = pl.concat([empty, *self.frames()])
        return frames.unique(["sid", "label"], keep="last").sort("sid", "label")

    def panel(self, axis: Ints) -> Panel:
        """The bars as dense arrays, in memory.

        Parameters
        ----------
        axis : ndarray of int64
            Every session or minute of the calendar; bars at other labels are not served.
        """
        bars = self.frame().filter(pl.col("label").is_in(pl.Series(axis).implode()))
        if bars.is_empty():
            return empty_panel()
        low, high = np.searchsorted(axis, [bars["label"].min(), bars["label"].max()])
        return _dense(bars, axis[low : high + 1], self.info())


def to_batches(frame: pl.DataFrame) -> list[pa.RecordBatch]:
    """A frame of one sid as record batches of the store's schema."""
    table = frame.select(SCHEMA.names).to_arrow().cast(SCHEMA)
    return table.combine_chunks().to_batches()


def as_read(values: Floats, name: str, ratio: Floats | float) -> Floats:
    """What zipline's format returns for a value: an integer of 1/ratio units, times 1/ratio."""
    if name == "volume":
        return values
    units = np.rint(values * ratio)
    return np.where(units == 0, np.nan, units * (1.0 / ratio))


def _dense(bars: pl.DataFrame, labels: Ints, info: StoreInfo) -> Panel:
    sids, columns = np.unique(bars["sid"].to_numpy(), return_inverse=True)
    rows = np.searchsorted(labels, bars["label"].to_numpy())
    ratios = np.array([info.ratio(sid) for sid in sids])[columns]
    shape = (len(labels), len(sids))
    values = {}
    for name in VALUE_COLUMNS:
        column = bars[name].to_numpy()
        if info.precision == "bcolz":
            column = as_read(column, name, ratios)
        elif name != "volume":
            column = np.where(column == 0, np.nan, column)
        values[name] = np.full(shape, 0.0 if name == "volume" else np.nan)
        values[name][rows, columns] = column
    first = np.full(len(sids), len(labels), dtype=np.int64)
    last = np.full(len(sids), -1, dtype=np.int64)
    np.minimum.at(first, columns, rows)
    np.maximum.at(last, columns, rows)
    return Panel(labels, sids, first, last, values)
