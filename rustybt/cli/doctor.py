"""``rustybt doctor``: what is in the way, and what to do about it."""

from typing import Any

import click

from rustybt.cli._params import Moment, json_option


@click.command()
@click.option(
    "-f", "--algofile", type=click.Path(exists=True, dir_okay=False), help="File of an algorithm."
)
@click.option("-b", "--bundle", metavar="NAME", help="The bundle that it is to run on.")
@click.option("-s", "--start", type=Moment(), help="First session of the run.")
@click.option("-e", "--end", type=Moment(), help="Last session of the run.")
@json_option
def doctor(algofile: str | None, bundle: str | None, start: Any, end: Any, as_json: bool) -> None:
    """Look for what is in the way: folders, locks, leftovers, extensions, sources, calendars.

    With an algorithm and a bundle: do its symbols, its windows, its benchmark and the dates fit
    the bundle? Nothing is run and nothing is changed. Exits with 1 if something is wrong.
    """
    from rustybt.cli import _checks
    from rustybt.cli._outcome import fail
    from rustybt.cli._output import facts, heading, print_json

    if algofile is not None and bundle is None:
        raise click.UsageError("name the bundle that the algorithm is to run on (-b)")
    found = list(_checks.of_machine())
    if bundle is not None:
        from rustybt.cli import _fit

        found += _fit.of_bundle(bundle, algofile, start, end)
    if as_json:
        print_json([check.to_dict() for check in found])
    else:
        heading("What was looked at")
        facts((check.name, f"{check.mark} {check.text}") for check in found)
    wrong = [check for check in found if check.state == "wrong"]
    if wrong:
        fail(f"{len(wrong)} of {len(found)} checks found something wrong")
