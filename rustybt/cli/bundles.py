"""``rustybt bundles``: list, info, and the commands of `rustybt.cli.versions`."""

from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._group import LazyGroup
from rustybt.cli._params import json_option, timestamp_option

if TYPE_CHECKING:
    from rustybt.data.bundles.bundle import Bundle
    from rustybt.data.bundles.metadata import BundleMetadata

#: Assets that `info` lists for a person; JSON has all of them.
_MOST_ASSETS = 20


@click.group(
    cls=LazyGroup,
    lazy={
        "list": "rustybt.cli.bundles:list_",
        "info": "rustybt.cli.bundles:info",
        "diff": "rustybt.cli.versions:diff",
        "verify": "rustybt.cli.versions:verify",
        "repair": "rustybt.cli.versions:repair",
        "clean": "rustybt.cli.versions:clean",
        "pin": "rustybt.cli.versions:pin",
        "unpin": "rustybt.cli.versions:unpin",
    },
    invoke_without_command=True,
)
@click.pass_context
def bundles(ctx: click.Context) -> None:
    """Show and tend the bundles that were ingested; without a command, list them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@click.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all bundles."""
    from rustybt.data.bundles.storage import bundles_root, list_bundles

    records = [_newest(name) for name in list_bundles()]
    if as_json:
        from rustybt.cli._output import print_json

        print_json(records)
        return
    from rustybt.cli._output import next_commands, say, table

    if not records:
        say(f"No bundle was ingested yet into {bundles_root()}.")
        next_commands("demo", "ingest csv FOLDER --bundle my-data")
        return
    columns = ("bundle", "symbols", "bars", "first", "last", "freq.", "quality", "versions")
    table(columns, map(_list_row, records), right="symbols quality versions")
    for record in records:
        if "error" in record:
            say(f"  {record['bundle_name']} is damaged: {record['error']}", "red")


def _newest(name: str) -> dict[str, Any]:
    from rustybt.data.bundles.metadata import BundleMetadata
    from rustybt.data.bundles.storage import versions
    from rustybt.data.errors import CorruptVersionError

    present = versions(name)
    facts = {"path": str(present[0].path), "versions": len(present)}
    try:
        return {**BundleMetadata.load(name).to_dict(), **facts}
    except CorruptVersionError as error:
        return {"bundle_name": name, "error": str(error), **facts}


def _list_row(record: dict[str, Any]) -> tuple[object, ...]:
    if "error" in record:
        return (record["bundle_name"], *[None] * 5, "damaged", record["versions"])
    return (
        record["bundle_name"],
        len(record["symbols"]),
        f"{record['row_count']:,}",
        record["start_date"],
        record["end_date"],
        record["frequency"],
        f"{record['quality_score']:.4f}",
        record["versions"],
    )


@click.command()
@click.argument("name")
@timestamp_option
@json_option
def info(name: str, bundle_timestamp: Any, as_json: bool) -> None:
    """Show one bundle: what is in it, where it came from, its versions."""
    from rustybt.cli._output import print_json
    from rustybt.data.bundles.bundle import open_bundle

    bundle = open_bundle(name, bundle_timestamp)
    if as_json:
        print_json(_record(bundle))
    else:
        _print_info(bundle)


def _record(bundle: "Bundle") -> dict[str, Any]:
    from rustybt.data.bundles.storage import versions

    return {
        **bundle.metadata.to_dict(),
        "path": str(bundle.version.path),
        "versions": [version.path.name for version in versions(bundle.version.bundle)],
        "assets": bundle.assets.to_dicts(),
        "events": {kind: len(frame) for kind, frame in bundle.events.items()},
        "coverage": bundle.coverage.to_dicts(),
    }


def _print_info(bundle: "Bundle") -> None:
    from rustybt.cli._output import facts, heading, say, table
    from rustybt.cli.ingest._summary import what_is_not
    from rustybt.data.bundles.retention import pins

    heading(f"Bundle {bundle.metadata.bundle_name}")
    facts([*_facts(bundle, bundle.metadata), *what_is_not(bundle.coverage)])
    say()
    heading("Assets")
    columns = ["sid", "symbol", "exchange", "start_date", "end_date"]
    shown = bundle.assets.select(columns).head(_MOST_ASSETS)
    table(columns, shown.iter_rows(), right="sid")
    if len(bundle.assets) > len(shown):
        say(f"  and {len(bundle.assets) - len(shown):,} more (--json lists all)")
    say()
    heading("Versions")
    table(("ingested (UTC)", "bars", "sessions", "quality"), _version_rows(bundle), right="bars")
    for version, why in pins(bundle.version.bundle).items():
        if why:
            say(f"  {version.path.name} is pinned: {why}")


def _facts(bundle: "Bundle", record: "BundleMetadata") -> list[tuple[str, object]]:
    from rustybt.cli.ingest._summary import assumed, events_text, quality_text
    from rustybt.data.bundles.quality import suspect_bars

    suspect = suspect_bars(bundle.quality_findings)
    config = "\n".join(f"{key}={value}" for key, value in record.source_config.items())
    feed = f", feed {record.feed}" if record.feed else ""
    return [
        ("bars", f"{record.row_count:,} of {record.frequency}"),
        ("sessions", record.span),
        ("calendar", f"{record.calendar} (exchange_calendars {record.calendar_version})"),
        ("source", f"{record.source_type}{feed}"),
        ("configuration", config or None),
        ("adjusted for", "nothing (raw)" if record.adjustment == "raw" else record.adjustment),
        ("events", events_text({kind: len(frame) for kind, frame in bundle.events.items()})),
        ("precision", record.precision),
        ("universe", universe_text(record)),
        ("quality", quality_text(record, suspect)),
        ("size", f"{record.size_bytes / 1e6:,.2f} MB"),
        ("path", bundle.version.path),
        ("content", f"sha256 {record.content_hash}"),
        ("assumed", assumed(record)),
        ("streamed", _streamed(record.bundle_name)),
    ]


def universe_text(record: "BundleMetadata") -> str | None:
    """How many symbols the bundle is meant to have, and whether dead ones are among them."""
    if not record.universe:
        return None
    from rustybt.cli._output import count

    return f"{count(len(record.universe), 'symbol')} asked for, {record.survivorship}"


def _streamed(name: str) -> str | None:
    from rustybt.cli._output import count
    from rustybt.data.bundles.journal import read_tail

    number = int(read_tail(name)["final"].sum())
    if not number:
        return None
    return f"{count(number, 'final bar')} in no version yet; the next rustybt stream confirms them"


def _version_rows(bundle: "Bundle") -> list[tuple[object, ...]]:
    from rustybt.data.bundles.metadata import BundleMetadata
    from rustybt.data.bundles.storage import is_pinned, versions
    from rustybt.data.errors import CorruptVersionError

    rows: list[tuple[object, ...]] = []
    for version in versions(bundle.version.bundle):
        mark = " *" if version.path == bundle.version.path else ""
        mark += " pinned" if is_pinned(version) else ""
        when = f"{version.timestamp:%Y-%m-%d %H:%M:%S.%f}{mark}"
        try:
            record = BundleMetadata.of(version)
        except CorruptVersionError:
            rows.append((when, None, "damaged", None))
            continue
        rows.append((when, f"{record.row_count:,}", record.span, f"{record.quality_score:.4f}"))
    return rows
