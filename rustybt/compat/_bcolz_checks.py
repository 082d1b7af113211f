"""Whether an ingestion in zipline's format is complete and can become a version."""

import struct
from pathlib import Path

from zipline.assets import AssetFinder

from rustybt.compat._bcolz_ingestion import DAILY, MINUTE, Bounds, ConversionError, Ingestion
from rustybt.compat._layout import ADJUSTMENTS, ASSETS


def check(ingestion: Ingestion) -> None:
    """Raise unless everything is there and whole, and its two halves agree.

    Raises
    ------
    ConversionError
    """
    parts = (DAILY, MINUTE, ASSETS, ADJUSTMENTS)
    absent = [name for name in parts if not (ingestion.path / name).exists()]
    if len(absent) == len(parts):
        raise ConversionError("it is empty: an ingest that failed or has not ended")
    if absent:
        raise ConversionError(f"{', '.join(absent)} is missing; zipline cannot load it either")
    _require_closed(ingestion.path)
    for part in (DAILY, MINUTE):
        _require_whole_chunks(ingestion.path / part)
    daily, minute = ingestion.daily_bounds, ingestion.minute_bounds
    if daily != minute:
        raise ConversionError(
            f"its daily bars are of {_bounds_text(daily)} and its minute bars of "
            f"{_bounds_text(minute)}; a version has one calendar and one range"
        )
    _require_reachable_minutes(ingestion)
    _require_assets(ingestion)


def _bounds_text(bounds: Bounds) -> str:
    name, start, end = bounds
    return f"{name} {start.date()} to {end.date()}"


def _require_closed(directory: Path) -> None:
    """A journal means that a transaction never ended; reading would roll it back in place."""
    for suffix in ("-journal", "-wal"):
        for journal in directory.glob(f"*.sqlite{suffix}"):
            raise ConversionError(f"{journal.name} is there: the database was not closed")


def _require_whole_chunks(directory: Path) -> None:
    """bcolz does not notice that a file is cut short, and returns whatever lies behind it.

    A chunk is 16 bytes of bloscpack's header and a Blosc buffer, whose header ends with its length:
    https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
    """
    for path in directory.rglob("*.blp"):
        with path.open("rb") as file:
            header = file.read(32)
        size = path.stat().st_size
        if len(header) < 32 or size != 16 + struct.unpack("<I", header[28:])[0]:
            raise ConversionError(f"{path.relative_to(directory.parent)} is damaged: {size} bytes")


def _require_assets(ingestion: Ingestion) -> None:
    finder = AssetFinder(str(ingestion.path / ASSETS))
    try:
        known = {int(sid) for sid in finder.sids}
    finally:
        finder.engine.dispose()
    unknown = sorted({*ingestion.daily_lives, *ingestion.minute_sids} - known)
    if unknown:
        named = ", ".join(map(str, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
        raise ConversionError(f"sids {named} have bars and are no assets of {ASSETS}")


def _require_reachable_minutes(ingestion: Ingestion) -> None:
    if not ingestion.minute_sids:
        return
    opens, closes = ingestion.hours(slice(None))
    longest = int((closes - opens).max(initial=0)) + 1
    if longest > ingestion.minutes_per_day:
        raise ConversionError(
            f"its minute bars have room for {ingestion.minutes_per_day} minutes a session, and "
            f"sessions of {ingestion.calendar.name} have up to {longest}: zipline's own reader "
            "cannot load them"
        )
