"""One old Parquet bundle, read in full: its bars by symbol, its events, what is known of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events, conform_events
from rustybt.data.bars import VALUE_COLUMNS, Frequency
from rustybt.data.bundles._batch import session_of
from rustybt.data.calendars import calendar_days, load_calendar
from rustybt.data.errors import BarValidationError
from rustybt.legacy.migration import _market, _merge
from rustybt.legacy.migration._claims import utc_day
from rustybt.legacy.migration._discover import Home
from rustybt.legacy.migration._facts import Claim, Conflict, FileFacts, Problem
from rustybt.legacy.migration._gather import Gathered, gather
from rustybt.legacy.migration._parquet import Part, read_parts
from rustybt.legacy.migration._sqlite import Cells, Database

KINDS = ("daily", "minute")


@dataclass(frozen=True)
class Loaded:
    """The data of one old bundle.

    Attributes
    ----------
    bars : dict of str to polars.DataFrame
        By frequency, in the bar schema.
    events : Events
    refused : polars.DataFrame
        Rows that no version can hold: ``symbol``, ``frequency``, ``day``.
    symbols : dict of str to dict of int to str
        By kind, the symbol of each sid.
    facts : FileFacts
    conflicts : tuple of Conflict
        Among the files themselves.
    problems : tuple of Problem
    size_bytes : int
    written : int
        When the newest file was changed, nanoseconds.
    """

    bars: dict[str, pl.DataFrame]
    events: Events
    refused: pl.DataFrame
    symbols: dict[str, dict[int, str]]
    facts: FileFacts
    conflicts: tuple[Conflict, ...]
    problems: tuple[Problem, ...]
    size_bytes: int
    written: int


def load(home: Home, claims: Sequence[Claim], databases: Sequence[Database]) -> Loaded:
    """Read everything of a bundle and say what it is.

    Parameters
    ----------
    home : Home
    claims : sequence of Claim
        What all catalogs say of it.
    databases : sequence of Database
        Its own, which may hold events.
    """
    problems: list[Problem] = []
    parts = {k: read_parts(home.bars.get(k, ()), k, problems, home.name) for k in KINDS}
    gathered = {k: gather(p, k, home.name) for k, p in parts.items() if p}
    for each in gathered.values():
        problems += each.problems
    # A kind of which nothing is left is not there.
    gathered = {kind: each for kind, each in gathered.items() if len(each.bars)}
    symbols, doubts = {}, []
    for kind, each in gathered.items():
        sids = each.bars["sid"].unique().sort().to_list()
        symbols[kind], why = _merge.name_sids(sids, claims, kind)
        doubts += why
    market = _market.derive(
        *(gathered[kind].bars if kind in gathered else None for kind in KINDS),
        always=_merge.trades_always(claims),
    )
    bars = {
        str(_frequency(kind, market)): _in_schema(each.bars, symbols[kind], kind, market)
        for kind, each in gathered.items()
    }
    numbers = symbols.get("daily") or symbols.get("minute") or {}
    found = _events(databases, numbers, problems, home.name)
    doubts += _doubtful_splits(found)
    files = [part for kind in KINDS for part in parts[kind]]
    return Loaded(
        bars,
        found,
        _refused(gathered, symbols, market),
        symbols,
        _facts(home, files, gathered, bars, market, doubts),
        tuple(conflict for each in gathered.values() for conflict in each.conflicts),
        tuple(problems),
        sum(part.path.stat().st_size for part in files),
        max((part.written for part in files), default=0),
    )


def _frequency(kind: str, market: _market.Market) -> Frequency:
    if kind == "daily" or market.frequency is None:
        return Frequency.parse("1d")
    return market.frequency


def _in_schema(
    bars: pl.DataFrame, symbols: dict[int, str], kind: str, market: _market.Market
) -> pl.DataFrame:
    symbol = pl.col("sid").replace_strict(symbols, return_dtype=pl.String).alias("symbol")
    named = bars.with_columns(symbol)
    if kind == "minute":
        named = named.with_columns(market.ends(named["timestamp"]))
    return named.select("symbol", "timestamp", *VALUE_COLUMNS).sort("symbol", "timestamp")


def _refused(
    gathered: dict[str, Gathered], symbols: dict[str, dict[int, str]], market: _market.Market
) -> pl.DataFrame:
    schema = {"symbol": pl.String, "frequency": pl.String, "day": pl.Date}
    frames = [pl.DataFrame(schema=schema)]
    for kind, each in gathered.items():
        sid = pl.col("sid").cast(pl.String).fill_null("missing")
        named = pl.col("sid").replace_strict(symbols[kind], default=None, return_dtype=pl.String)
        frames.append(
            each.refused.select(
                pl.coalesce(named, pl.format("sid {}", sid)).alias("symbol"),
                pl.lit(str(_frequency(kind, market))).alias("frequency"),
                pl.col("timestamp").cast(pl.Date).alias("day"),
            )
        )
    return pl.concat(frames)


def _facts(
    home: Home,
    files: Sequence[Part],
    gathered: dict[str, Gathered],
    bars: dict[str, pl.DataFrame],
    market: _market.Market,
    doubts: list[str],
) -> FileFacts:
    notes = [note for each in gathered.values() for note in each.notes]
    untrusted = [reason for each in gathered.values() for reason in each.untrusted]
    start, end = _span(bars, market.calendar)
    combined = hashlib.sha256()
    for part in sorted(files, key=lambda each: each.path):
        combined.update(part.path.read_bytes())
    return FileFacts(
        rows=sum(len(frame) for frame in bars.values()),
        start=start,
        end=end,
        sids=tuple(sorted({sid for each in gathered.values() for sid in each.bars["sid"]})),
        frequencies=tuple(bars),
        calendar=market.calendar if bars else "",
        checksums={_name(part.path, home): part.checksum for part in files},
        combined=combined.hexdigest() if files else "",
        notes=(*notes, *_partition_notes(files), *(market.notes if bars else ())),
        untrusted=(*untrusted, *doubts),
    )


def _name(path: Path, home: Home) -> str:
    for directory in home.directories:
        if path.is_relative_to(directory):
            return str(path.relative_to(directory))
    return str(path)


def _span(bars: dict[str, pl.DataFrame], calendar: str) -> tuple[date | None, date | None]:
    days = []
    for frame in bars.values():
        times = frame["timestamp"]
        sessions = times
        if times.dtype != pl.Date:
            edges = frame.filter(pl.col("timestamp").is_in([times.min(), times.max()]))
            first, last = calendar_days(edges["timestamp"].to_numpy())
            start, stop = date(first.year - 1, 12, 1), date(last.year + 1, 1, 31)
            sessions = session_of(edges, load_calendar(calendar, start, stop))
        days += [sessions.min(), sessions.max()]
    return (min(days), max(days)) if days else (None, None)  # type: ignore[type-var]


def _partition_notes(files: Sequence[Part]) -> list[str]:
    """How many rows lie in a partition of another time."""
    strays = 0
    for part in files:
        wanted = dict(
            folder.split("=", 1) for folder in part.path.parent.parts if folder.count("=") == 1
        )
        times = part.bars["timestamp"]
        inside = np.ones(len(times), dtype=bool)
        for name in ("year", "month", "day"):
            if wanted.get(name, "").isdigit():
                inside &= (
                    (getattr(times.dt, name)() == int(wanted[name])).fill_null(True).to_numpy()
                )
        strays += int((~inside).sum())
    return [f"{strays} rows lay in the partition of another time."] if strays else []


_TABLES = {
    "splits": ("splits", "effective_date"),
    "mergers": ("mergers", "effective_date"),
    "dividends": ("dividend_payouts", "ex_date"),
    "stock_dividends": ("stock_dividend_payouts", "ex_date"),
}


def _events(
    databases: Sequence[Database], symbols: dict[int, str], problems: list[Problem], bundle: str
) -> Events:
    frames: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _TABLES}
    for database in databases:
        before = len(database.problems)
        for kind, (table, ex_date) in _TABLES.items():
            rows = (_event(cells, kind, ex_date, symbols) for cells in database.rows(table))
            frames[kind] += [row for row in rows if row is not None and row not in frames[kind]]
        problems += [Problem(p.path, p.what, bundle) for p in database.problems[before:]]
        del database.problems[before:]
    found = {}
    for kind, rows in frames.items():
        try:
            found[kind] = conform_events(kind, pl.DataFrame(rows, schema=EVENT_SCHEMAS[kind]))
        except BarValidationError as error:
            problems.append(Problem(next(iter(databases)).path, f"{kind}: {error}", bundle))
    return Events(**found)


def _doubtful_splits(events: Events) -> list[str]:
    """Doubt where ratios are above 1: old releases stored 4.0 for a 4:1 split, which is 0.25."""
    above = events.splits.filter(pl.col("ratio") > 1)
    return [
        f"{symbol} has a split of {ratio} on {day}, which is a reverse split, or a split that is "
        "stored the wrong way round: compare it with the prices, or ingest the bundle again."
        for symbol, day, ratio in above.select("symbol", "ex_date", "ratio").rows()
    ]


def _event(cells: Cells, kind: str, ex_date: str, symbols: dict[int, str]) -> dict[str, Any] | None:
    """One event, or None where its row cannot be one; that is then reported."""
    sid, when = cells.number("sid"), utc_day(cells.seconds(ex_date))
    size = "amount" if kind == "dividends" else "ratio"
    value = cells.real(size)
    if sid is None or when is None or value is None:
        return None
    if not (np.isfinite(value) and value > 0):
        return cells.refuse(size, value, "above zero")
    row = {"symbol": symbols.get(sid, f"sid {sid}"), "ex_date": when, size: value}
    if kind in ("dividends", "stock_dividends"):
        for name in ("declared_date", "record_date", "pay_date"):
            row[name] = utc_day(cells.seconds(name))
    if kind == "stock_dividends":
        payment = cells.number("payment_sid")
        row["payment_symbol"] = symbols.get(payment or 0, f"sid {payment}")
    return row
