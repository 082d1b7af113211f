"""``rustybt export BUNDLE --to FORMAT``: a version for zipline itself, and for other programs."""

from pathlib import Path
from typing import Any

import click

from rustybt.cli._params import json_option, timestamp_option


@click.command()
@click.argument("name", metavar="BUNDLE")
@click.option(
    "--to",
    "form",
    required=True,
    type=click.Choice(["bcolz", "csvdir", "parquet", "arrow"]),
    help="bcolz is what zipline loads without rustybt.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The directory to make.  [default: BUNDLE-FORMAT here]",
)
@click.option("--lossy", is_flag=True, help="Write also what the format cannot hold exactly.")
@timestamp_option
@json_option
def export(
    name: str, form: Any, output: Path | None, lossy: bool, bundle_timestamp: Any, as_json: bool
) -> None:
    """Write a version of a bundle in another format.

    What the format cannot hold is refused, with the rows named, unless --lossy is given.
    """
    from rustybt.cli._output import print_json, progress, say
    from rustybt.compat.export import export as write
    from rustybt.data.bundles.bundle import open_bundle
    from rustybt.data.bundles.storage import encode_name

    bundle = open_bundle(name, bundle_timestamp)
    target = output or Path(f"{encode_name(name)}-{form}")
    with progress("Exporting") as update:
        result = write(bundle, form, target, lossy=lossy, progress=update)
    if as_json:
        print_json(result.to_dict())
        return
    say(str(result))
    for example in result.examples:
        say(f"  {example}")
