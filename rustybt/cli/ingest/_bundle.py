"""What `ingest` does for every source: its common options, the ingest, the summary."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import Moment, NameList, json_option

if TYPE_CHECKING:
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
        default=["1d"],
        metavar="1d|1m|1d,1m|...",
        help="Length of the bars, or of daily and intraday ones.  [default: 1d]",
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
        help="Bars outside the calendar: refuse the ingest, or leave them out and record that.",
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
    bundle: str,
    symbols: tuple[tuple[str, ...], ...],
    frequency: tuple[tuple[str, ...], ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Ingest a source into a bundle and say what came of it."""
    from rustybt.cli._output import print_json, progress
    from rustybt.cli.ingest._summary import as_record, print_summary
    from rustybt.data.bundles.ingest import ingest

    with progress(f"Ingesting {bundle}") as update:
        result: IngestResult = ingest(
            source,
            bundle,
            symbols=[name for group in symbols for name in group] or None,
            frequency=[name for group in frequency for name in group],
            progress=update,
            **options,
        )
    if as_json:
        print_json(as_record(result))
    else:
        print_summary(result)
