"""What an ingest wrote, what is not there, and what was assumed."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from rustybt.cli._output import count, facts, heading, next_commands, quoted, some
from rustybt.data.bundles import coverage
from rustybt.data.bundles.bundle import Bundle
from rustybt.data.bundles.ingest import IngestResult
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.bundles.quality import suspect_bars

_EVENTS = {
    "splits": ("split", "splits"),
    "dividends": ("dividend", "dividends"),
    "stock_dividends": ("stock dividend", "stock dividends"),
    "mergers": ("merger", "mergers"),
}


def as_record(result: IngestResult) -> dict[str, Any]:
    """The result as plain JSON values."""
    return {
        **result.metadata.to_dict(),
        "path": str(result.path),
        "events": {kind: len(frame) for kind, frame in result.events.items()},
        "coverage": result.coverage.to_dicts(),
        "failures": {
            symbol: {"reason": coverage.reason_of(error), "detail": str(error)}
            for symbol, error in result.failures.items()
        },
        "absences": dict(result.absences),
        "resumed": result.resumed,
        "new_version": result.is_new,
        "damaged": list(result.damaged),
    }


def print_summary(result: IngestResult) -> None:
    """Print the result for a person."""
    record = result.metadata
    heading(f"Bundle {record.bundle_name}: {_outcome(result)}")
    facts(
        [
            *resumed(result),
            *damaged(result),
            *what_is_there(result),
            *what_is_not(result.coverage),
            ("assumed", assumed(record)),
        ]
    )
    span = f"--start {record.start_date.date()} --end {record.end_date.date()}"
    minute = "" if "1d" in record.frequency.split(",") else " --data-frequency minute"
    name = quoted(record.bundle_name)
    next_commands(f"run -f ALGORITHM.py -b {name} {span}{minute}", f"quality {name}")


def _outcome(result: IngestResult) -> str:
    return "a new version was written" if result.is_new else "nothing was there to add"


def resumed(result: IngestResult) -> Iterator[tuple[str, str]]:
    """What an earlier ingest had done already."""
    if result.resumed:
        there = count(result.resumed, "symbol")
        yield "resumed", f"{there} had been fetched by an ingest that was interrupted"


def damaged(result: IngestResult) -> Iterator[tuple[str, str]]:
    """What was found damaged in the version before."""
    if result.damaged:
        name = quoted(result.metadata.bundle_name)
        text = (
            f"{some(result.damaged)} of version {result.metadata.parent_version}; whole in the new "
            f"one. To repair that one: rustybt bundles repair {name}"
        )
        yield "damaged", text


def what_is_there(result: IngestResult) -> Iterator[tuple[str, object]]:
    """Facts about the content of a version."""
    record = result.metadata
    suspect = suspect_bars(Bundle(result.version, record).quality_findings)
    yield "symbols", f"{len(record.symbols):,}: {some(record.symbols)}"
    span = f"{record.start_date.date()} to {record.end_date.date()}"
    bars = f"{record.row_count:,} of {record.frequency}"
    yield "bars", f"{bars}, {span}, calendar {record.calendar}"
    yield "events", events_text({kind: len(frame) for kind, frame in result.events.items()})
    yield "quality", quality_text(record, suspect)
    yield "version", result.path
    yield "size", f"{record.size_bytes / 1e6:,.2f} MB"


def events_text(counts: dict[str, int]) -> str:
    """``3 splits, 92 dividends``."""
    return ", ".join(count(n, *_EVENTS[kind]) for kind, n in counts.items() if n) or "none"


def quality_text(record: BundleMetadata, suspect_bars: int) -> str:
    """``0.9997 of 1: 0.01 % of sessions missing, 2 suspect bars``."""
    return (
        f"{record.quality_score:.4f} of 1: {record.missing_data_pct:.2f} % of sessions missing, "
        f"{count(suspect_bars, 'suspect bar')}"
    )


def what_is_not(ledger: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Facts about what a version lacks, one a reason in the coverage ledger."""
    labels = {
        coverage.NO_BAR: "missing",
        coverage.CLOSED: "missing",
        coverage.NOT_YET: "before",
        coverage.NO_EARLIER: "before",
        coverage.NO_MORE: "after",
        coverage.DELISTED: "after",
        coverage.NO_BARS_AT_ALL: "no bars",
        coverage.OFF_CALENDAR: "dropped",
    }  # any other reason is a failure
    if ledger.is_empty():
        yield "missing", "nothing: every session of every symbol's life has a bar"
    for (reason,), rows in ledger.group_by("reason", maintain_order=True):
        symbols = rows["symbol"].unique(maintain_order=True).to_list()
        days = int(rows["sessions"].sum())
        where = some([_run_text(row) for row in rows.head(3).iter_rows(named=True)])
        more = f" and {len(rows) - 3:,} more" if len(rows) > 3 else ""
        if days:
            text = (
                f"{count(days, 'day')} of {count(len(symbols), 'symbol')} ({reason}): {where}{more}"
            )
        else:
            text = f"{some(symbols)} ({reason})"
        yield labels.get(str(reason), "failed"), text


def _run_text(row: dict[str, Any]) -> str:
    last = "" if row["first"] == row["last"] else f" to {row['last']}"
    return f"{row['symbol']} {row['first']}{last}"


def assumed(record: BundleMetadata) -> str | None:
    """The assumptions of an ingest, one a line; None if there are none."""
    return "\n".join(record.notes) or None
