"""What `ingest` does for every source: its common options, the ingest, the summary."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import KeyValue, Moment, NameList, json_option

if TYPE_CHECKING:
    from rustybt.data.bundles.identity import Rename
    from rustybt.data.bundles.ingest import IngestResult
    from rustybt.data.sources import DataSource

_OPTIONS = (
    click.option("-b", "--bundle", required=True, metavar="NAME", help="Name of the bundle."),
    click.option(
        "--symbols",
        type=NameList(),
        multiple=True,
        help="Symbols to take; may be repeated.  [default: all of the source]",
    ),
    click.option("--start", type=Moment(), help="First session.  [default: the source's first]"),
    click.option("--end", type=Moment(), help="Last session.  [default: the source's last]"),
    click.option(
        "--frequency",
        type=NameList(),
        multiple=True,
        metavar="1d|1m|1d,1m|...",
        help="Length of the bars, or of daily and intraday ones.  [default: 1d, or the bundle's]",
    ),
    click.option(
        "--calendar", metavar="NAME", help="Market calendar.  [default: the source's, else XNYS]"
    ),
    click.option(
        "--precision",
        type=click.Choice(["full", "bcolz"]),
        default="full",
        show_default=True,
        help="full keeps every digit; bcolz rounds to what zipline's own format would keep.",
    ),
    click.option(
        "--off-calendar",
        type=click.Choice(["raise", "drop"]),
        default="raise",
        show_default=True,
        help="Bars outside the calendar: refuse the symbol, or leave them out and record that.",
    ),
    click.option(
        "--update",
        is_flag=True,
        help="Fetch only what the newest version lacks: later sessions, and further symbols.",
    ),
    click.option(
        "--prepend", is_flag=True, help="Fetch only what came before it: sessions from --start on."
    ),
    click.option(
        "--rename",
        "renames",
        type=KeyValue(),
        multiple=True,
        metavar="OLD=NEW@DATE",
        help="With --update: an asset that is called NEW from DATE on; its sid stays.",
    ),
    click.option(
        "--listings",
        is_flag=True,
        help="Ask also when assets were listed and delisted, and what they were called before.",
    ),
    click.option(
        "--allow-partial",
        is_flag=True,
        help="Exit with 0 also if some of what was asked for could not be had.",
    ),
    click.option(
        "--cache/--no-cache",
        "use_cache",
        default=False,
        show_default=True,
        help="Take what was fetched before from the cache, and keep what is fetched now.",
    ),
    click.option(
        "--plan",
        "--dry-run",
        "plan_only",
        is_flag=True,
        help="Say how many calls, rows and minutes it would take; ask for nothing.",
    ),
    json_option,
)


def bundle_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `ingest_bundle` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def ingest_bundle(
    source: "DataSource",
    *,
    symbols: tuple[tuple[str, ...], ...],
    frequency: tuple[tuple[str, ...], ...],
    as_json: bool,
    plan_only: bool,
    use_cache: bool,
    **options: Any,
) -> None:
    """Ingest a source into a bundle and say what came of it, or what it would take."""
    if use_cache:
        from rustybt.data.sources import CachedDataSource

        source = CachedDataSource(source, calendar=options.get("calendar"))
    options["symbols"] = [name for group in symbols for name in group] or None
    options["renames"] = [_rename(old, new) for old, new in options["renames"]]
    options["frequency"] = [name for group in frequency for name in group] or None
    if plan_only:
        _say_plan(source, as_json, options)
    else:
        _ingest(source, as_json, options)


def _rename(old: str, new: str) -> "Rename":
    from datetime import date

    from rustybt.data.bundles.identity import Rename

    name, _, since = new.rpartition("@")
    try:
        return Rename(old, name, date.fromisoformat(since))
    except ValueError:
        raise click.UsageError(f"--rename {old}={new}: write it as OLD=NEW@2022-06-09") from None


def _say_plan(source: "DataSource", as_json: bool, options: dict[str, Any]) -> None:
    from rustybt.cli._output import print_json
    from rustybt.cli.ingest._plan import as_record, print_plan
    from rustybt.data.bundles.ingest import plan

    bundle = options.pop("bundle")
    found = plan(source, bundle, **options)
    if as_json:
        print_json({"bundle": bundle, **as_record(found)})
    else:
        print_plan(bundle, found)


def _ingest(source: "DataSource", as_json: bool, options: dict[str, Any]) -> None:
    from rustybt.cli._outcome import fail
    from rustybt.cli._output import print_json, progress
    from rustybt.cli.ingest._summary import as_record, print_summary
    from rustybt.data.bundles.ingest import ingest
    from rustybt.data.errors import IncompleteIngestError

    bundle, incomplete = options.pop("bundle"), None
    with progress(f"Ingesting {bundle}") as update:
        try:
            result: IngestResult = ingest(source, bundle, progress=update, **options)
        except IncompleteIngestError as error:
            result, incomplete = error.result, error
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_kept(bundle)) from None
    if as_json:
        print_json(as_record(result))
    else:
        print_summary(result)
    if incomplete is not None:
        fail(str(incomplete))


def _kept(bundle: str) -> str:
    """What an interrupted ingest has done."""
    from rustybt.data.bundles._progress import kept_symbols

    there = kept_symbols(bundle)
    if not there:
        return "nothing was changed"
    noun = "symbol was" if there == 1 else "symbols were"
    return (
        f"no version was written, and what was there is unchanged. {there:,} {noun} fetched and "
        "kept: the same command goes on from there"
    )
