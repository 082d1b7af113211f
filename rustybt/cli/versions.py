"""``rustybt bundles diff | verify | repair | clean | pin | unpin``: the versions of a bundle."""

from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import Moment, json_option, timestamp_option

if TYPE_CHECKING:
    from rustybt.data.bundles.bundle import Bundle
    from rustybt.data.bundles.diff import Changes
    from rustybt.data.bundles.storage import Version
    from rustybt.data.sources.recorded import Mended


@click.command()
@click.argument("name")
@click.option(
    "--old", type=Moment(), help="The version of this time or before.  [default: the one before]"
)
@click.option("--new", type=Moment(), help="The version of this time or before.  [default: newest]")
@click.option(
    "--limit", type=click.IntRange(0), default=10, show_default=True, help="Rows to list of a kind."
)
@json_option
def diff(name: str, old: Any, new: Any, limit: int, as_json: bool) -> None:
    """Show which bars, events and assets changed from one version to another."""
    from rustybt.cli._output import print_json
    from rustybt.data.bundles.bundle import open_bundle
    from rustybt.data.bundles.diff import compare

    after = open_bundle(name, new)
    before = open_bundle(name, old) if old is not None else _before(after)
    changes = compare(before, after)
    if as_json:
        print_json(_as_record(before, after, changes))
    else:
        _print_changes(before, after, changes, limit)


def _before(bundle: "Bundle") -> "Bundle":
    """The version before another one."""
    from rustybt.data.bundles.bundle import Bundle
    from rustybt.data.bundles.metadata import BundleMetadata
    from rustybt.data.bundles.storage import versions
    from rustybt.data.errors import UnknownBundleError

    name = bundle.version.bundle
    older = [v for v in versions(name) if v.timestamp < bundle.version.timestamp]
    if not older:
        raise UnknownBundleError(
            f"bundle {name!r} has no version before {bundle.version.path.name} to compare it with"
        )
    return Bundle(older[0], BundleMetadata.of(older[0]))


def _as_record(before: "Bundle", after: "Bundle", changes: "Changes") -> dict[str, Any]:
    return {
        "old": before.version.path.name,
        "new": after.version.path.name,
        "bars": {kind: frame.to_dicts() for kind, frame in changes.bars.items()},
        "events": {kind: frame.to_dicts() for kind, frame in changes.events.items()},
        "assets": changes.assets.to_dicts(),
    }


def _print_changes(before: "Bundle", after: "Bundle", changes: "Changes", limit: int) -> None:
    from rustybt.cli._changes import as_lines, frames_of
    from rustybt.cli._output import facts, heading, say

    heading(f"Bundle {after.version.bundle}: what changed")
    facts({"old": before.version.path, "new": after.version.path})
    if changes.is_empty:
        say("  Bars, events and assets are the same.")
    for title, frame, keys in frames_of(changes):
        say()
        heading(title)
        for line in as_lines(frame, keys, limit):
            say(f"  {line}")


@click.command()
@click.argument("name")
@json_option
def verify(name: str, as_json: bool) -> None:
    """Hash every file of every version again, and say which are not what was written.

    Exits with 1 if a version is damaged. What is derived (panels, databases) is rebuilt when it is
    read, so damage there is only said.
    """
    from rustybt.cli._outcome import fail
    from rustybt.cli._output import count, facts, heading, print_json, progress, quoted
    from rustybt.data.bundles.verify import verify as verify_bundle

    with progress("Hashing") as update:
        reports = verify_bundle(name, update)
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        heading(f"Bundle {name}")
        facts(
            (report.version.path.name, "\n".join([*report.damage, *report.derived]) or "sound")
            for report in reports
        )
    damaged = [report for report in reports if report.damage]
    if damaged:
        fail(
            f"{len(damaged)} of {count(len(reports), 'version')} of bundle {name!r} are damaged. "
            f"To put the bytes back that were written: rustybt bundles repair {quoted(name)}"
        )


@click.command()
@click.argument("name")
@json_option
def repair(name: str, as_json: bool) -> None:
    """Put back what is damaged in the versions of a bundle.

    A file is taken from another version that has the same one undamaged; bars of which there is
    none are fetched from the source that the bundle was made from. A file is only put back, in
    all versions that share it, when it has the very bytes that were written. If the newest version
    stays damaged, a new one is made by an update, which takes its bars as the source has them now.

    Exits with 1 if something stays damaged.
    """
    from dataclasses import asdict

    from rustybt.cli._outcome import fail
    from rustybt.cli._output import facts, heading, print_json, say
    from rustybt.data.sources.recorded import mend

    mended = mend(name)
    if as_json:
        print_json({**asdict(mended.repair), "new_version": mended.new_version})
    else:
        heading(f"Bundle {name}")
        rows = _mended_rows(mended)
        facts(rows)
        if not rows:
            say("  Nothing is damaged.")
    if mended.repair.left:
        fail(_advice(name, mended))


def _mended_rows(mended: "Mended") -> list[tuple[str, str]]:
    restored = [
        (each.file, f"restored from {each.origin}\nin {', '.join(each.versions)}")
        for each in mended.repair.restored
    ]
    left = [
        (each.file, f"still damaged: {each.why}\nin {', '.join(each.versions)}")
        for each in mended.repair.left
    ]
    made = [("new version", mended.new_version)] if mended.new_version else []
    return [*restored, *left, *made]


def _advice(name: str, mended: "Mended") -> str:
    from rustybt.cli._output import count, quoted

    damaged = {version for each in mended.repair.left for version in each.versions}
    versions, bundle = count(len(damaged), "version"), quoted(name)
    if mended.new_version is not None:
        return (
            f"damage is left in {versions}; the new version is sound, and has the bars as the "
            f"source tells them now: rustybt bundles diff {bundle}"
        )
    why = f". {mended.obstacle}" if mended.obstacle else ""
    return (
        f"damage is left in {versions}{why}\nTo make a sound version: "
        f"rustybt ingest SOURCE --bundle {bundle} --update, or the same without --update"
    )


@click.command()
@click.argument("name")
@click.option("--before", type=Moment(), help="Remove versions ingested before this.")
@click.option("--after", type=Moment(), help="Remove versions ingested after this.")
@click.option("--keep-last", type=click.IntRange(0), help="Remove all but the newest ones.")
@json_option
def clean(name: str, before: Any, after: Any, keep_last: int | None, as_json: bool) -> None:
    """Remove versions of a bundle; pinned ones stay."""
    from rustybt.cli._output import count, print_json, say
    from rustybt.data.bundles import retention

    removed = retention.clean(name, before, after, keep_last)
    if as_json:
        print_json({"removed": [str(path) for path in removed]})
        return
    say(f"{count(len(removed), 'version')} removed.")
    for path in removed:
        say(f"  {path}")


@click.command()
@click.argument("name")
@timestamp_option
@click.option("--why", default="", help="A note, for those who wonder later.")
def pin(name: str, bundle_timestamp: Any, why: str) -> None:
    """Keep a version from being cleaned."""
    from rustybt.cli._output import say
    from rustybt.data.bundles import retention

    version = _version(name, bundle_timestamp)
    retention.pin(version, why)
    say(f"Version {version.path.name} of bundle {name} is pinned: no clean removes it.")


@click.command()
@click.argument("name")
@timestamp_option
def unpin(name: str, bundle_timestamp: Any) -> None:
    """Let a version be cleaned again."""
    from rustybt.cli._output import say
    from rustybt.data.bundles import retention

    version = _version(name, bundle_timestamp)
    retention.unpin(version)
    say(f"Version {version.path.name} of bundle {name} is not pinned any more.")


def _version(name: str, timestamp: Any) -> "Version":
    from rustybt.data.bundles.storage import find_version

    return find_version(name, timestamp)
