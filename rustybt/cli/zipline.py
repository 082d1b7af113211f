"""``rustybt zipline enable|disable|status``: rustybt under zipline's own command line."""

import click

from rustybt.cli._params import json_option


@click.group()
def zipline() -> None:
    """Put rustybt under zipline's own command line, or take it away."""


@zipline.command()
def enable() -> None:
    """Add one marked line to zipline's extension.py.

    After that `zipline ingest`, `zipline run`, `zipline bundles`, `zipline clean` and
    `zipline.run_algorithm` write and read rustybt bundles; old bcolz bundles still load.
    """
    from rustybt.cli._output import say
    from rustybt.compat import install

    changed = install.enable()
    path = install.extension_file()
    say(f"Added one line to {path}." if changed else f"It was enabled already, in {path}.")
    say()
    say("Next")
    say("  zipline ingest -b BUNDLE     writes a version from an unchanged ingest function")
    say("  rustybt zipline status       shows what is replaced in zipline")
    say("  rustybt zipline disable      gives the file its bytes back")


@zipline.command()
def disable() -> None:
    """Take the marked line out of zipline's extension.py again, to the byte."""
    from rustybt.cli._output import say
    from rustybt.compat import install

    changed = install.disable()
    path = install.extension_file()
    say(f"Took the line out of {path}." if changed else f"It was not enabled in {path}.")


@zipline.command()
@json_option
def status(as_json: bool) -> None:
    """Show whether it is enabled, and every name of zipline that is replaced."""
    from rustybt.cli._output import facts, print_json, say, table
    from rustybt.compat import install

    found = install.status()
    if as_json:
        rows = [
            {"name": f"{module}.{name}", "replacement": target, "effect": effect}
            for module, name, target, effect in install.replacements()
        ]
        print_json({"enabled": found.enabled, "extension": str(found.extension), "replaced": rows})
        return
    facts([("enabled", "yes" if found.enabled else "no"), ("extension", found.extension)])
    say()
    table(
        ["name of zipline", "what changes by it"],
        [(f"{module}.{name}", effect) for module, name, _, effect in install.replacements()],
    )
    say()
    say("Nothing else of zipline is altered.")
