"""zipline's own csvdir ingest function, read by Arrow instead of pandas.

The function is recognised, not replaced: who registers `csvdir_equities` gets the assets, bars and
adjustments that it writes. Where anything in the files could be read in more than one way, or is
not as that function wants it, it is called itself.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from zipline.data.bundles.csvdir import CSVDIRBundle, csvdir_bundle
from zipline.utils.cli import maybe_show_progress

from rustybt.compat.bar_writers import Arrays
from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.sources._csv_table import FILES_TOGETHER, OddError, Table, TableReader

_KINDS = ("daily", "minute")
#: Column of events -> the value by which nothing happens.
_NOTHING = {"split": 1.0, "dividend": 0.0}
_DATES = ("record_date", "declared_date", "pay_date")


def ingested(
    ingest: Callable[..., Any], environ: Mapping[str, str], writers: Any, show_progress: bool
) -> bool:
    """Whether an ingest function of a bundle was zipline's csvdir, and everything is written."""
    directory = recognised(ingest, environ)
    if directory is None:
        return False
    try:
        directory.write(writers, show_progress)
    except OddError:
        return False
    return True


@dataclass
class Csvdir:
    """A directory of CSV files, a file a symbol, as zipline's function reads it.

    Attributes
    ----------
    kind : {"daily", "minute"}
    paths : list of pathlib.Path
        By sid.
    """

    kind: str
    paths: list[Path]
    _lives: list[tuple[np.datetime64, np.datetime64]] = field(default_factory=list)
    _events: dict[str, list[pd.DataFrame]] = field(default_factory=dict)

    def write(self, writers: Any, show_progress: bool) -> None:
        """Write all through zipline's writers.

        Raises
        ------
        OddError
            If a file is for zipline's function to read. No bars were written then, nor assets.
        """
        writer = writers.minute if self.kind == "minute" else writers.daily
        label = "Loading custom pricing data: "
        with maybe_show_progress(self.paths, show_progress, label=label) as paths:
            writer.write_arrays(self._bars(paths), show_progress=show_progress)
        first, last = (pd.DatetimeIndex(each) for each in zip(*self._lives, strict=True))
        equities = {
            "start_date": first,
            "end_date": last,
            "auto_close_date": last + pd.Timedelta(days=1),
            "symbol": [path.stem for path in self.paths],
            "exchange": "CSVDIR",
        }
        writers.assets.write(equities=pd.DataFrame(equities))
        splits = self._concatenated("split", ["effective_date", "ratio"])
        dividends = self._concatenated("dividend", ["ex_date", "amount"])
        dividends = dividends.assign(**dict.fromkeys(_DATES, pd.NaT)).astype(
            dict.fromkeys(_DATES, "datetime64[ns]")
        )
        writers.adjustments.write(splits=splits, dividends=dividends)

    def _bars(self, paths: Iterable[Path]) -> Iterator[Arrays]:
        """The bars of each sid, read some files at a time."""
        reader = TableReader()
        waiting: list[Path] = []
        begun = 0
        for path in paths:
            waiting.append(path)
            if len(waiting) == FILES_TOGETHER or path == self.paths[-1]:
                table = reader.read(waiting, _places)
                for offset, bars in enumerate(self._bars_of(table, begun)):
                    yield begun + offset, *bars
                begun += len(waiting)
                waiting = []

    def _bars_of(self, table: Table, first_sid: int) -> Iterator[tuple[Any, Any]]:
        """Times and values of each file."""
        rises = np.count_nonzero(table.steps > 0)
        missing = any(table.numbers[name].null_count for name in _NOTHING if name in table.numbers)
        if missing or rises < len(table.steps) + 1 - len(table.counts):
            raise OddError
        times = table.times.to_numpy(zero_copy_only=False).astype("datetime64[ns]")
        # An empty cell is NaN, as to pandas.
        columns = [table.numbers[name] for name in VALUE_COLUMNS]
        values = np.stack([cells.to_numpy(zero_copy_only=False) for cells in columns])
        for name in _NOTHING:
            if name in table.numbers:
                own = _acting(table, name, times)
                own["sid"] += first_sid
                self._events.setdefault(name, []).append(own)
        stops = table.starts + table.counts
        for start, stop in zip(table.starts.tolist(), stops.tolist(), strict=True):
            self._lives.append((times[start], times[stop - 1]))
            yield times[start:stop], values[:, start:stop]

    def _concatenated(self, name: str, columns: list[str]) -> pd.DataFrame:
        date, value = columns
        empty = pd.DataFrame(
            {
                "sid": np.empty(0, dtype=np.int64),
                value: np.empty(0),
                date: np.empty(0, dtype="datetime64[ns]"),
            }
        )
        parts = [
            part.rename(columns={"value": value, "date": date})
            for part in self._events.get(name, [])
            if len(part)
        ]
        return pd.concat(parts, ignore_index=True) if parts else empty


def _places(header: bytes) -> Mapping[str, int]:
    """The first column is the date; the others have the names that zipline's function takes."""
    names = header.decode().rstrip("\r\n").split(",")
    wanted = [*VALUE_COLUMNS, *(name for name in _NOTHING if name in names)]
    if any(names[1:].count(name) != 1 for name in wanted) or len(set(names)) < len(names):
        raise OddError
    return {"date": 0, **{name: names.index(name) for name in wanted}}


def _acting(table: Table, name: str, times: Any) -> pd.DataFrame:
    """The events in a column: ``sid`` from 0, ``value`` (a ratio, or an amount) and ``date``."""
    cells = table.numbers[name].to_numpy()
    rows = np.flatnonzero(cells != _NOTHING[name])
    values = cells[rows]
    with np.errstate(divide="ignore"):
        own = 1.0 / values if name == "split" else values
    sids = np.searchsorted(table.starts, rows, side="right") - 1
    return pd.DataFrame({"sid": sids, "value": own, "date": times[rows]})


def recognised(ingest: Callable[..., Any], environ: Mapping[str, str]) -> Csvdir | None:
    """The directory that an ingest function of zipline's would read; None if it is another one.

    Also None if zipline's function would refuse the directory, or reads compressed files.
    """
    owner = getattr(ingest, "__self__", None)
    if ingest is csvdir_bundle:
        frames, place = None, None
    elif type(owner) is CSVDIRBundle and getattr(ingest, "__func__", None) is CSVDIRBundle.ingest:
        frames, place = owner.tframes, owner.csvdir
    else:
        return None
    place = place or environ.get("CSVDIR")
    if not place or not os.path.isdir(place):  # noqa: PTH112  it may be any text
        return None
    kinds = list(frames or set(_KINDS).intersection(os.listdir(place)))  # noqa: PTH208
    if len(kinds) != 1 or kinds[0] not in _KINDS:
        return None
    folder = Path(place) / kinds[0]
    paths = sorted(folder.iterdir(), key=lambda path: path.stem) if folder.is_dir() else []
    plain = all(path.suffix == ".csv" and "." not in path.stem and path.is_file() for path in paths)
    return Csvdir(kinds[0], paths) if paths and plain else None
