"""``rustybt quality NAME``: can this data be trusted?"""

from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import json_option, timestamp_option

if TYPE_CHECKING:
    from rustybt.data.bundles.bundle import Bundle


@click.command()
@click.argument("name")
@timestamp_option
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="Exit with 1 if the score is below this.",
)
@click.option(
    "--limit", type=click.IntRange(0), default=10, show_default=True, help="Rows to list."
)
@json_option
def quality(
    name: str, bundle_timestamp: Any, fail_under: float | None, limit: int, as_json: bool
) -> None:
    """Show how good a bundle's data is.

    The score is (1 - missing sessions) * (1 - suspect bars), from 0 to 1. Suspect is a bar without
    volume, in a run that stands still, with a jump that no split explains, or otherwise far from
    what is usual for its asset; docs/quality.md lists the rules. Every file's checksum is compared
    too.
    """
    from rustybt.cli._outcome import fail
    from rustybt.cli._output import print_json, progress
    from rustybt.data.bundles.bundle import open_bundle

    bundle = open_bundle(name, bundle_timestamp)
    with progress("Comparing checksums"):
        bundle.version.check(every_byte=True)
    if as_json:
        print_json(_record(bundle))
    else:
        _print(bundle, limit)
    score = bundle.metadata.quality_score
    if fail_under is not None and score < fail_under:
        fail(f"the quality of bundle {name!r} is {score}, below {fail_under}")


def _record(bundle: "Bundle") -> dict[str, Any]:
    record = bundle.metadata
    return {
        "bundle_name": record.bundle_name,
        "path": str(bundle.version.path),
        "quality_score": record.quality_score,
        "missing_data_pct": record.missing_data_pct,
        "findings": bundle.quality_findings.to_dicts(),
        "coverage": bundle.coverage.to_dicts(),
        "notes": list(record.notes),
    }


def _print(bundle: "Bundle", limit: int) -> None:
    import polars as pl

    from rustybt.cli._output import facts, heading
    from rustybt.cli.ingest._summary import assumed, quality_text, what_is_not
    from rustybt.data.bundles import quality as rules

    record, findings = bundle.metadata, bundle.quality_findings
    heading(f"Quality of bundle {record.bundle_name}, ingested {record.ingestion_time:%Y-%m-%d}")
    facts(
        [
            ("score", quality_text(record, rules.suspect_bars(findings))),
            *what_is_not(bundle.coverage),
            ("assumed", assumed(record)),
            ("files", "all checksums are those that were written"),
        ]
    )
    for title, kind in (
        ("Suspect bars", rules.SUSPECT),
        ("Sessions in doubt", ("calendar_conflict",)),
        ("Rows that were refused", rules.REFUSED),
    ):
        rows = findings.filter(pl.col("rule").is_in(kind))
        _print_rows(title, rows.select("symbol", "timestamp", "rule", "message").rows(), limit)
    gaps = bundle.coverage.select("symbol", "frequency", "first", "last", "sessions", "reason")
    _print_rows("Not there", gaps.rows(), limit, gaps.columns)


def _print_rows(
    title: str,
    rows: list[tuple[Any, ...]],
    limit: int,
    columns: list[str] | None = None,
) -> None:
    from rustybt.cli._output import heading, say, table

    if not rows:
        return
    say()
    heading(title)
    table(columns or ["symbol", "session", "rule", "what"], rows[:limit], right="sessions")
    if len(rows) > limit:
        say(f"  and {len(rows) - limit:,} more (--limit {len(rows)} or --json lists all)")
