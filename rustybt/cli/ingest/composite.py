"""``rustybt ingest composite``."""

from pathlib import Path
from typing import Any

import click

from rustybt.cli.ingest._bundle import bundle_options, ingest_bundle


@click.command(short_help="Several sources as one, by the rules in a TOML file.")
@click.argument("rules", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@bundle_options
def composite(rules: Path, **request: Any) -> None:
    """Several sources as one, by the rules in the TOML file RULES.

    \b
    fallback = ["outage", "unknown"]
    tolerance = 0.001              report larger differences between sources
    [[supplier]]
    source = "csv"
    options = { path = "archive/" }
    end = 2019-12-31
    [[supplier]]
    source = "alpaca"
    start = 2020-01-01

    Who supplied what stands in the bundle beside the bars.
    """
    from rustybt.data.sources.composite import CompositeDataSource

    ingest_bundle(CompositeDataSource.from_file(rules), **request)
