"""The tail of a bundle that is being streamed into: bars that no version has yet.

``<bundle>/live/`` stands beside the versions. In ``journal.jsonl`` the first line says what it is a
journal of, and each further line is a final bar; only the last line can be torn, by a writer that
was killed, and then readers leave it out and the next writer cuts it off. A bar is on the disk
before the writer goes on. When a version has taken the bars in, the journal is replaced by one
without them. ``forming.json`` has the newest state of the bars that are still forming.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from rustybt.data.bars import Bar, Frequency, bar_schema
from rustybt.data.bundles import _files, storage
from rustybt.data.bundles._locks import locked
from rustybt.data.errors import BundleError, OptionError

#: The `timestamp` of a bar: an instant, or a session.
Label = datetime | date

_FORMAT = 1
_FORMING = "forming.json"


@dataclass(frozen=True)
class Head:
    """What a journal is of.

    Attributes
    ----------
    frequency : str
    source_type : str
    fingerprint : str
        Of the source, so that no other one continues it.
    begun : mapping of str to datetime or date
        By symbol, the last bar that is not in it any more, or was not wanted: it begins behind.
    confirmed : mapping of str to datetime or date
        By symbol, the last bar of the version that took bars from it.
    """

    frequency: str
    source_type: str
    fingerprint: str
    begun: Mapping[str, Label]
    confirmed: Mapping[str, Label] = field(default_factory=dict)


class Journal:
    """The journal of one bundle, open for writing; see `open_journal`."""

    def __init__(self, path: Path, head: Head, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self.head = head

    def append(self, bars: Iterable[Bar]) -> None:
        """Write final bars, down to the disk."""
        self._file.write(b"".join(_line(asdict(each)) for each in bars))
        self._file.flush()
        os.fsync(self._file.fileno())

    def show(self, bars: Iterable[Bar]) -> None:
        """Replace what is shown of forming bars."""
        path = self._path.with_name(_FORMING)
        aside = path.with_suffix(".new")
        aside.write_bytes(b"".join(_line(asdict(each)) for each in bars))
        aside.rename(path)

    def finals(self) -> pl.DataFrame:
        """The final bars, in the bar schema."""
        return _frame(_bars(self._path, self.head.frequency), self.head.frequency)

    def last(self) -> dict[str, Label]:
        """By symbol, the bar behind which the stream goes on."""
        newest = self.finals().group_by("symbol").agg(pl.col("timestamp").max())
        return {**self.head.begun, **dict(newest.iter_rows())}

    def forget(self, taken: pl.DataFrame, confirmed: Mapping[str, Label]) -> None:
        """Replace the journal by one without bars that a version has taken.

        Parameters
        ----------
        taken : polars.DataFrame
        confirmed : mapping of str to datetime or date
            By symbol, the last bar of that version.
        """
        newest = taken.group_by("symbol").agg(pl.col("timestamp").max())
        begun = {**self.head.begun, **dict(newest.iter_rows())}
        head = replace(self.head, begun=begun, confirmed=confirmed)
        left = self.finals().join(taken, on=["symbol", "timestamp"], how="anti")
        bars = [Bar(**row, final=True) for row in left.iter_rows(named=True)]
        self._file.close()
        self._file = _start(self._path, head, bars)
        self.head = head


@contextmanager
def open_journal(name: str, head: Head, environ: Mapping[str, str]) -> Iterator[Journal]:
    """Open the journal of a bundle for writing, or begin it.

    A journal that is there is continued: what is in it, and where it began, stays.

    Raises
    ------
    BundleLockedError
        If another process streams into this bundle.
    OptionError
        If the journal is of other bars: they have to be confirmed first.
    """
    path = _path(name, environ)
    what = f"bundle {name!r} is being streamed into"
    with locked(storage.bundle_path(name, environ), what, ".live-"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            head = _continued(_repaired(path), head, name)
            journal = Journal(path, head, path.open("ab"))
        else:
            journal = Journal(path, head, _start(path, head, []))
        try:
            yield journal
        finally:
            journal._file.close()


def read_tail(name: str, environ: Mapping[str, str] = os.environ) -> pl.DataFrame:
    """Bars of a bundle that no version has yet, also while they are being written.

    Returns
    -------
    polars.DataFrame
        In the bar schema, with a Boolean column ``final``; without rows if nothing is streamed.
    """
    path = _path(name, environ)
    if not path.exists():
        return _frame([], "1m", "final")
    head = _head(path)
    finals = _bars(path, head.frequency)
    given = {**head.begun}
    for bar in finals:
        given[bar.symbol] = max(bar.timestamp, given.get(bar.symbol, bar.timestamp))
    forming = [
        bar
        for bar in _bars(path.with_name(_FORMING), head.frequency)
        if bar.symbol not in given or bar.timestamp > given[bar.symbol]
    ]
    return _frame([*finals, *forming], head.frequency, "final")


def _path(name: str, environ: Mapping[str, str]) -> Path:
    return storage.bundle_path(name, environ) / "live" / "journal.jsonl"


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, default=lambda moment: moment.isoformat()).encode() + b"\n"


def _start(path: Path, head: Head, bars: Iterable[Bar]) -> BinaryIO:
    """A new journal in the place of the old one, open at its end."""
    aside = path.with_suffix(".new")
    file = aside.open("wb")
    lines = [_line({"format": _FORMAT, **asdict(head)}), *(_line(asdict(bar)) for bar in bars)]
    file.write(b"".join(lines))
    file.flush()
    os.fsync(file.fileno())
    aside.rename(path)
    _files.sync(path.parent)
    return file


def _repaired(path: Path) -> Head:
    """Cut off a line that a killed writer did not finish."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return _head(path)


def _head(path: Path) -> Head:
    with path.open("rb") as file:
        described = json.loads(file.readline())
    if described.pop("format") != _FORMAT:
        raise BundleError(f"{path} was written by another release of rustybt; use that one")
    frequency = described["frequency"]
    labels = {
        name: {symbol: _label(text, frequency) for symbol, text in described[name].items()}
        for name in ("begun", "confirmed")
    }
    return Head(**{**described, **labels})


def _label(text: str, frequency: str) -> Label:
    intraday = Frequency.parse(frequency).intraday
    return datetime.fromisoformat(text) if intraday else date.fromisoformat(text)


def _continued(there: Head, wanted: Head, name: str) -> Head:
    same = (there.frequency, there.fingerprint) == (wanted.frequency, wanted.fingerprint)
    if not same:
        raise OptionError(
            f"bundle {name!r} has a journal of {there.frequency} bars of {there.source_type} that "
            f"are in no version yet: stream them again with the same options to confirm them"
        )
    return replace(there, begun={**wanted.begun, **there.begun})


def _bars(path: Path, frequency: str) -> list[Bar]:
    """The bars of a file that are written to their end; each once."""
    content = path.read_bytes() if path.exists() else b""
    rows = (json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines())
    bars = [
        Bar(**{**row, "timestamp": _label(row["timestamp"], frequency)})
        for row in rows
        if "symbol" in row
    ]
    return list({(bar.symbol, bar.timestamp): bar for bar in reversed(bars)}.values())


def _frame(bars: Iterable[Bar], frequency: str, *more: str) -> pl.DataFrame:
    schema = bar_schema(Frequency.parse(frequency))
    rows = [asdict(bar) for bar in bars]
    frame = pl.DataFrame(rows, schema={**schema, "final": pl.Boolean()})
    return frame.select(*schema, *more).sort("symbol", "timestamp")
