"""``rustybt ingest csv``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from rustybt.cli._outcome import fail
from rustybt.cli._params import KeyValue, NameList
from rustybt.cli.ingest._bundle import bundle_options, ingest_bundle
from rustybt.data.errors import BarSchemaError, FrequencyError

#: Argument of `CSVDataSource` -> what is typed for it.
_OPTIONS = {
    "columns": "--column ROLE=NAME (--skip-column NAME for None, --names A,B,... for a list)",
    "date_format": "--date-format",
    "timezone": "--timezone",
    "delimiter": "--delimiter",
    "decimal": "--decimal",
    "frequency": "--file-frequency",
    "adjustment": "--adjustment",
}


@click.command(short_help="CSV files: a file, a folder, or zipline's csvdir.")
@click.argument("path", type=click.Path())
@click.option(
    "--column",
    "roles",
    type=KeyValue(),
    multiple=True,
    metavar="ROLE=NAME",
    help="Which column is what, where the name does not say it: --column close=Last.",
)
@click.option("--skip-column", "skipped", multiple=True, metavar="NAME", help="Leave a column out.")
@click.option(
    "--names", type=NameList(), help="Names of all columns, for files that have no header."
)
@click.option("--date-format", help="How dates are written: %d/%m/%Y, epoch_ms, ...")
@click.option("--timezone", help="Where times of day are told: America/New_York.  [default: UTC]")
@click.option(
    "--label",
    type=click.Choice(["start", "end"]),
    help="Which end of an intraday bar its time is.  [default: end]",
)
@click.option("--delimiter", help="What stands between the columns.  [default: found out]")
@click.option(
    "--decimal", type=click.Choice([".", ","]), help="The decimal mark.  [default: found out]"
)
@click.option(
    "--file-frequency", "frequency_", help="Length of the bars in the files.  [default: found out]"
)
@click.option(
    "--adjustment",
    type=click.Choice(["raw", "split", "split_dividend"]),
    help="What the prices are already adjusted for.  [default: raw]",
)
@click.option(
    "--events",
    type=click.Path(),
    help="Folder of splits.csv and dividends.csv.  [default: where the bars are]",
)
@bundle_options
def csv(path: str, **options: Any) -> None:
    """Ingest CSV files.

    PATH is one file (with a column of symbols, or named after its symbol), a folder with one
    file a symbol, or a folder in zipline's csvdir layout. Files may be compressed; columns,
    delimiters and dates are found out where they are not in doubt.
    """
    from rustybt.data.sources.csv import CSVDataSource

    reading = {"columns": _columns(options), "frequency": options.pop("frequency_")}
    for name in (
        "date_format",
        "timezone",
        "label",
        "delimiter",
        "decimal",
        "adjustment",
        "events",
    ):
        reading[name] = options.pop(name)
    given = {name: value for name, value in reading.items() if value is not None}
    with _spelled_for_the_shell():
        ingest_bundle(CSVDataSource(path, **given), **options)


def _columns(options: dict[str, Any]) -> dict[str, str | None] | tuple[str, ...] | None:
    """The argument ``columns`` of the source, out of three options."""
    roles, skipped, names = (options.pop(name) for name in ("roles", "skipped", "names"))
    mapping = {**{name: role for role, name in roles}, **dict.fromkeys(skipped)}
    if mapping and names:
        raise click.UsageError("give either --names, or --column and --skip-column")
    return mapping or names


@contextmanager
def _spelled_for_the_shell() -> Iterator[None]:
    """Add to a message that names an argument of the source which option that is."""
    try:
        yield
    except (BarSchemaError, FrequencyError) as error:
        named = [
            f"{name}= is {option}" for name, option in _OPTIONS.items() if f"{name}=" in str(error)
        ]
        fail(
            "\n".join(
                [str(error), *([f"On the command line {', '.join(named)}."] if named else [])]
            )
        )
