"""Bars as zipline's writers hand them over: pieces in a directory, until a version is made of them.

A store is a directory with ``store.json`` and one Arrow file a write: ``sid`` int64, ``label``
int64 (days or minutes since 1970, UTC) and the five values as float64. ``store.json`` is replaced
in one rename, so that a reader sees a write as a whole or not at all.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles.panel import Floats, Ints, Panel, Precision, as_read, empty_panel

_FILE = "store.json"
SCHEMA = pa.schema(
    [("sid", pa.int64()), ("label", pa.int64()), *((name, pa.float64()) for name in VALUE_COLUMNS)]
)
#: Rows that are written at a time: a question to Arrow or Polars costs as much as some thousand.
_ROWS = 1 << 18


@dataclass(frozen=True)
class Bars:
    """Bars of one sid.

    Attributes
    ----------
    sid : int
    labels : ndarray of int64, shape (n,)
        Days or minutes since 1970, UTC.
    values : ndarray of float64, shape (5, n)
        A row each of open, high, low, close and volume.
    """

    sid: int
    labels: Ints
    values: Floats


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

    def append(self, items: Iterable[Bars], *, replacing: bool = False) -> None:
        """Add one write. When `replacing`, it takes the place of all before it.

        The items are consumed one at a time; if one raises, the store stays as it was.
        """
        before = self.info()
        name = f"{len(list(self.directory.glob('*.arrow'))):06d}.arrow"
        last: dict[str, int] = {} if replacing else dict(before.last_labels)
        path = self.directory / name
        try:
            with pa.ipc.new_stream(str(path), SCHEMA) as writer:
                for group in _together(items):
                    writer.write_batch(_batch(group))
                    last |= {str(it.sid): int(it.labels[-1]) for it in group if len(it.labels)}
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
        parts = kept.partition_by("sid", maintain_order=True)
        self.append(map(_bars_of, parts), replacing=True)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Each piece, a batch at a time, mapped from the disk."""
        for name in self.info().pieces:
            with pa.memory_map(str(self.directory / name)) as source:
                for batch in pa.ipc.open_stream(source):
                    yield pl.DataFrame(pa.Table.from_batches([batch]))

    def frame(self) -> pl.DataFrame:
        """All bars, sorted by (sid, label); of a bar that was written twice, the last."""
        empty = pl.DataFrame(SCHEMA.empty_table())
        frames = pl.concat([empty, *self.frames()], rechunk=True)
        sid, label = (frames[name].to_numpy() for name in ("sid", "label"))
        later = (sid[1:] > sid[:-1]) | ((sid[1:] == sid[:-1]) & (label[1:] > label[:-1]))
        if later.all():
            return frames
        return frames.unique(["sid", "label"], keep="last").sort("sid", "label")

    def column(self, name: str, labels: Ints, sids: Ints) -> Floats:
        """A value of some assets as zipline's readers return it, shape (len(labels), len(sids)).

        Parameters
        ----------
        name : str
        labels : ndarray of int64
            Ascending; bars at others are left out.
        sids : ndarray of int64
        """
        info = self.info()
        places = {sid: place for place, sid in enumerate(sids.tolist())}
        out = np.full((len(sids), len(labels)), 0.0 if name == "volume" else np.nan)
        for frame in self.frames():
            own, label, values = (frame[key].to_numpy() for key in ("sid", "label", name))
            starts = np.flatnonzero(np.diff(own, prepend=own[:1] - 1))
            stops = np.append(starts[1:], len(own))
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                sid = int(own[start])
                if sid in places:
                    piece = slice(start, stop)
                    row = out[places[sid]]
                    read = as_read(values[piece], name, info.precision, info.ratio(sid))
                    _lay(row, labels, label[piece], read)
        return out.T

    def panel(self, axis: Ints) -> Panel:
        """The bars as dense arrays, in memory.

        Parameters
        ----------
        axis : ndarray of int64
            Every session or minute of the calendar; bars at other labels are not served.
        """
        bars = self.frame()
        known = np.isin(bars["label"].unique().to_numpy(), axis)
        if not known.all():
            bars = bars.filter(pl.col("label").is_in(pl.Series(axis).implode()))
        if bars.is_empty():
            return empty_panel()
        low, high = np.searchsorted(axis, [bars["label"].min(), bars["label"].max()])
        return _dense(bars, axis[low : high + 1], self.info())


def _together(items: Iterable[Bars]) -> Iterator[list[Bars]]:
    """The items in groups, each of about as many rows as are written at a time."""
    group: list[Bars] = []
    rows = 0
    for item in items:
        group.append(item)
        rows += len(item.labels)
        if rows >= _ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _batch(group: list[Bars]) -> pa.RecordBatch:
    lengths = [len(item.labels) for item in group]
    sids = np.repeat(np.array([item.sid for item in group], dtype=np.int64), lengths)
    labels = np.concatenate([item.labels for item in group])
    values = np.concatenate([item.values for item in group], axis=1)
    return pa.RecordBatch.from_arrays(list(map(pa.array, (sids, labels, *values))), schema=SCHEMA)


def _bars_of(frame: pl.DataFrame) -> Bars:
    """The bars of a frame of one sid."""
    values = np.stack([frame[name].to_numpy() for name in VALUE_COLUMNS])
    return Bars(frame["sid"][0], frame["label"].to_numpy(), values)


def _lay(row: Floats, axis: Ints, labels: Ints, values: Floats) -> None:
    """Put values at those of their labels that are on an axis."""
    places = np.searchsorted(axis, labels)
    inside = places < len(axis)
    inside[inside] = axis[places[inside]] == labels[inside]
    row[places[inside]] = values[inside]


class _Values(dict[str, Floats]):
    """Dense arrays, each made when it is asked for: adjustments want the closes only."""

    def __init__(self, make: Callable[[str], Floats]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Floats:
        self[name] = self._make(name)
        return self[name]


def _dense(bars: pl.DataFrame, labels: Ints, info: StoreInfo) -> Panel:
    own = bars["sid"].to_numpy()
    starts = np.flatnonzero(np.diff(own, prepend=own[0] - 1))
    stops = np.append(starts[1:], len(own))
    sids = own[starts]
    columns = np.repeat(np.arange(len(sids)), stops - starts)
    rows = np.searchsorted(labels, bars["label"].to_numpy())

    def field(name: str) -> Floats:
        if name not in VALUE_COLUMNS:
            raise KeyError(name)
        ratios = np.array([info.ratio(sid) for sid in sids])[columns]
        column = as_read(bars[name].to_numpy(), name, info.precision, ratios)
        values = np.full((len(labels), len(sids)), 0.0 if name == "volume" else np.nan)
        values[rows, columns] = column
        return values

    return Panel(labels, sids, rows[starts], rows[stops - 1], _Values(field))
