"""What was fetched of an ingest that has not ended: kept until it does, checked before it is used.

``<root>/.progress/<bundle>/<request>/`` has two files that only grow: ``frames.bin``, Arrow streams
one after the other, and ``deliveries.jsonl``, a line a delivery with its symbols, the time, where
its frames lie, and their checksums; each line begins with its own. A line that is torn or wrong
ends what is believed, and the files are cut off there.
"""

import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events
from rustybt.data.bundles import storage
from rustybt.data.bundles._gather import Delivery
from rustybt.data.bundles.plan import Ask
from rustybt.data.calendars import to_instant
from rustybt.data.errors import RustyBTError
from rustybt.data.provenance import Provenance

_DIRECTORY = ".progress"
_FRAMES, _LINES = "frames.bin", "deliveries.jsonl"
#: How long answers are good that the provider might still revise.
_GOOD_FOR = timedelta(hours=24)


@dataclass(frozen=True)
class KeptBars:
    """Bars of one frequency; stands for `rustybt.data.sources.base.Fetched`."""

    bars: pl.DataFrame
    absences: Mapping[str, str]
    provenance: Provenance | None = None


@dataclass(frozen=True)
class Kept:
    """A delivery of an earlier ingest."""

    symbols: tuple[str, ...]
    bars: Mapping[str, KeptBars]
    events: Events
    failures: Mapping[str, RustyBTError] = field(default_factory=dict)


def directory_of(name: str, environ: Mapping[str, str]) -> Path:
    """Where the progress of a bundle's ingests is kept."""
    return storage.bundles_root(environ) / _DIRECTORY / storage.encode_name(name)


def forget(name: str, environ: Mapping[str, str]) -> None:
    """Remove all progress of a bundle: its ingest has ended."""
    shutil.rmtree(directory_of(name, environ), ignore_errors=True)


def kept_symbols(name: str, environ: Mapping[str, str] = os.environ) -> int:
    """How many symbols are kept of a bundle's ingests that have not ended."""
    return sum(
        len(json.loads(line[9:])["symbols"])
        for path in directory_of(name, environ).glob(f"*/{_LINES}")
        for line in _sound_lines(path.read_bytes())
    )


def key_of(*facts: Any) -> str:
    """Name of the directory of a request: equal only for equal facts."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _sound_lines(content: bytes) -> Iterator[bytes]:
    for line in content.split(b"\n")[:-1]:  # what follows the last newline is torn
        if line[:8] != _checksum(line[9:]):
            return
        yield line


def _checksum(data: bytes | memoryview) -> bytes:
    return f"{zlib.crc32(data):08x}".encode()


class Progress:
    """The deliveries of one request.

    Parameters
    ----------
    directory : pathlib.Path
        Of this request; made when something is kept.
    now : datetime
    settled : datetime
        What was fetched after this is final; before it, it is good for a day.
    """

    def __init__(self, directory: Path, now: datetime, settled: datetime | None) -> None:
        self._directory = directory
        self._now = now
        self._settled = settled
        self._entries = self._load() if directory.is_dir() else []

    def _load(self) -> list[dict[str, Any]]:
        frames = self._directory / _FRAMES
        size = frames.stat().st_size if frames.is_file() else 0
        believed, good, end = [], b"", 0
        lines = self._directory / _LINES
        for line in _sound_lines(lines.read_bytes() if lines.is_file() else b""):
            entry = json.loads(line[9:])
            if entry["end"] > size or not self._is_good(datetime.fromisoformat(entry["time"])):
                break
            believed.append(entry)
            good, end = good + line + b"\n", entry["end"]
        lines.write_bytes(good)
        if frames.is_file():
            os.truncate(frames, end)
        return believed

    def _is_good(self, fetched: datetime) -> bool:
        final = self._settled is not None and fetched >= self._settled
        return fetched <= self._now and (final or self._now - fetched <= _GOOD_FOR)

    def symbols(self, ask: int) -> set[str]:
        """Symbols of an ask that need not be fetched again."""
        return {
            symbol for each in self._entries if each["ask"] == ask for symbol in each["symbols"]
        }

    def deliveries(self, ask: int) -> Iterator[Kept]:
        """What was delivered for an ask, as far as it is what was written."""
        for entry in list(self._entries):
            if entry["ask"] == ask:
                kept = self._read(entry)
                if kept is None:
                    self._entries.remove(entry)
                else:
                    yield kept

    def _read(self, entry: dict[str, Any]) -> Kept | None:
        frames = {}
        with (self._directory / _FRAMES).open("rb") as file:
            for name, (start, length, checksum) in entry["frames"].items():
                file.seek(start)
                data = file.read(length)
                if _checksum(data).decode() != checksum:
                    return None
                frames[name] = pl.read_ipc_stream(io.BytesIO(data))
        bars = {
            name: KeptBars(frames[f"bars {name}"], absences, _provenance(frames, name))
            for name, absences in entry["absences"].items()
        }
        found: dict[str, Any] = {kind: frames[kind] for kind in EVENT_SCHEMAS if kind in frames}
        return Kept(tuple(entry["symbols"]), bars, Events(**found, notes=tuple(entry["notes"])))

    def keep(self, ask: int, delivery: Delivery) -> None:
        """Keep what was delivered of the symbols that did not fail."""
        good = [symbol for symbol in delivery.symbols if symbol not in delivery.failures]
        if not good:
            return
        chosen = pl.col("symbol").is_in(good) if len(good) < len(delivery.symbols) else True
        frames = {
            f"bars {name}": fetched.bars.filter(chosen) for name, fetched in delivery.bars.items()
        }
        frames |= {
            kind: frame.filter(chosen)
            for kind, frame in delivery.events.items()
            if not frame.is_empty()
        }
        for name, fetched in delivery.bars.items():
            if fetched.provenance is not None:
                frames[f"suppliers {name}"] = fetched.provenance.suppliers.filter(chosen)
                frames[f"disagreements {name}"] = fetched.provenance.disagreements.filter(chosen)
        entry = {
            "ask": ask,
            "symbols": good,
            "time": self._now.isoformat(),
            "absences": {
                name: {key: why for key, why in fetched.absences.items() if key in good}
                for name, fetched in delivery.bars.items()
            },
            "notes": list(delivery.events.notes),
        }
        self._append(entry, frames)

    def _append(self, entry: dict[str, Any], frames: Mapping[str, pl.DataFrame]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        places = {}
        with (self._directory / _FRAMES).open("ab") as file:
            for name, frame in frames.items():
                buffer = io.BytesIO()
                frame.write_ipc_stream(buffer)
                data = buffer.getbuffer()
                places[name] = (file.tell(), len(data), _checksum(data).decode())
                file.write(data)
            end = file.tell()
        line = json.dumps({**entry, "frames": places, "end": end}).encode()
        with (self._directory / _LINES).open("ab") as lines:
            lines.write(_checksum(line) + b" " + line + b"\n")


def _provenance(frames: Mapping[str, pl.DataFrame], frequency: str) -> Provenance | None:
    if f"suppliers {frequency}" not in frames:
        return None
    return Provenance(frames[f"suppliers {frequency}"], frames[f"disagreements {frequency}"])


def progress_of(
    directory: Path, facts: Mapping[str, Any], asks: tuple[Ask, ...], now: datetime
) -> Progress:
    """The progress of a request: below the directory of its bundle, by what is asked of whom."""
    listed = [(ask.symbols, str(ask.start), str(ask.end)) for ask in asks]
    ends = [to_instant(ask.end) for ask in asks if ask.end is not None]
    lag = timedelta(days=2) + facts["settle_lag"]
    settled = max(ends) + lag if ends and len(ends) == len(asks) else None
    return Progress(directory / key_of(facts, listed), now, settled)
