"""Tables that say what the run stood on: settings, data, quality, software, assumptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rustybt.compat.report.run import Run
from rustybt.compat.report.text import count, noun, number

NOT_RECORDED = "not recorded"
MAX_SYMBOLS = 30


@dataclass(frozen=True)
class Table:
    """A table of names and values, as text."""

    title: str
    rows: tuple[tuple[str, str], ...]


def tables(run: Run, recorded: Mapping[str, Any]) -> list[Table]:
    """Lay out the provenance that a run left in ``perf.attrs["rustybt"]``; any key may lack."""
    return [_run(run, recorded), _data(recorded), _software(recorded)]


def assumptions(recorded: Mapping[str, Any]) -> list[str]:
    """Return what the run assumed, one sentence each."""
    return [str(sentence) for sentence in recorded.get("assumptions") or ()]


def _run(run: Run, recorded: Mapping[str, Any]) -> Table:
    rows = (
        ("Algorithm", _text(recorded, "algorithm")),
        ("Start", _text(recorded, "start")),
        ("End", _text(recorded, "end")),
        ("Sessions", count(run.sessions.height)),
        ("Capital base", _number(recorded, "capital_base", 2)),
        ("Data frequency", _text(recorded, "data_frequency")),
    )
    return Table("Run", rows)


def _data(recorded: Mapping[str, Any]) -> Table:
    missing = _number(recorded, "missing_data_pct", 2)
    quality = _number(recorded, "quality_score", 3)
    rows = (
        ("Bundle", _text(recorded, "bundle")),
        ("Version", _text(recorded, "version").replace(";", ":")),
        ("Content hash", _text(recorded, "content_hash")),
        ("Source", _text(recorded, "source_type")),
        ("Adjustment", _text(recorded, "adjustment")),
        ("Precision", _text(recorded, "precision")),
        ("Data range", _range(recorded)),
        ("Symbols", _symbols(recorded.get("symbols"))),
        ("Calendar", _text(recorded, "calendar")),
        ("Calendar version", _text(recorded, "calendar_version")),
        ("Quality score", quality if quality == NOT_RECORDED else f"{quality} of 1"),
        ("Missing data", missing if missing == NOT_RECORDED else f"{missing}%"),
    )
    return Table("Data and quality", rows)


def _software(recorded: Mapping[str, Any]) -> Table:
    libraries = recorded.get("libraries") or {}
    rows = tuple((str(name), str(version)) for name, version in libraries.items())
    return Table("Software", rows or (("Library versions", NOT_RECORDED),))


def _text(recorded: Mapping[str, Any], key: str) -> str:
    value = recorded.get(key)
    return NOT_RECORDED if value is None or value == "" else str(value)


def _number(recorded: Mapping[str, Any], key: str, digits: int) -> str:
    value = recorded.get(key)
    return NOT_RECORDED if value is None else number(float(value), digits)


def _range(recorded: Mapping[str, Any]) -> str:
    start, end = _text(recorded, "data_start"), _text(recorded, "data_end")
    return start if start == end else f"{start} to {end}"


def _symbols(symbols: Sequence[str] | None) -> str:
    if not symbols:
        return NOT_RECORDED
    named = ", ".join(str(symbol) for symbol in symbols[:MAX_SYMBOLS])
    rest = len(symbols) - MAX_SYMBOLS
    return f"{named} and {noun(rest, 'more symbol')}" if rest > 0 else named
