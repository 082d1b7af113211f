"""``rustybt convert BUNDLE``: zipline's own ingestions become versions, compared bit for bit."""

import click

from rustybt.cli._params import json_option


@click.command()
@click.argument("names", nargs=-1, metavar="[BUNDLE]...")
@json_option
def convert(names: tuple[str, ...], as_json: bool) -> None:
    """Make a version of every ingestion that zipline wrote in its own format.

    Without a name, of all bundles below zipline's root. Each version is read in full beside the
    old ingestion and every bit compared before it is published. The old files are left alone.
    """
    from rustybt.cli._outcome import fail
    from rustybt.cli._output import next_commands, print_json, progress, say
    from rustybt.compat import convert as conversion

    with progress("Converting") as update:
        if names:
            results = [r for name in names for r in conversion.convert(name, progress=update)]
        else:
            results = conversion.convert_all(progress=update)
    if as_json:
        print_json([result.to_dict() for result in results])
    else:
        for result in results:
            say(str(result))
            for note in result.notes:
                say(f"  {note}")
        if not results:
            say("There is no bundle in zipline's own format here.")
    failed = [result for result in results if not result.ok]
    if failed:
        fail(f"{len(failed)} of {len(results)} ingestions were not converted")
    if results and not as_json:
        next_commands(f"bundles info {results[-1].bundle}", "zipline enable")
