"""``rustybt migrate``: catalogs and bundles of rustybt 0.1 to 0.3 become new bundles."""

from pathlib import Path
from typing import Any

import click

from rustybt.cli._params import json_option


@click.command()
@click.option("--validate", "action", flag_value="validate", help="Print the plan.  [default]")
@click.option("--apply", "action", flag_value="apply", help="Migrate.")
@click.option("--revert", "action", flag_value="revert", help="Undo it, within 7 days.")
@click.option("--force", is_flag=True, help="Revert also after 7 days.")
@click.option("--keep", "written", flag_value="keep", help="Leave bundles written to since.")
@click.option("--drop", "written", flag_value="drop", help="Remove what was written since as well.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The zipline root.  [default: $ZIPLINE_ROOT, else ~/.zipline]",
)
@click.option("--bundle", help="Migrate this one only.")
@json_option
@click.option("--dry-run", is_flag=True, hidden=True)
@click.option("--backup", is_flag=True, hidden=True)
@click.option("--no-backup", is_flag=True, hidden=True)
@click.option("--rollback", hidden=True)
def migrate(
    action: str | None,
    written: str | None,
    rollback: str | None,
    **typed: Any,
) -> None:
    """Make new bundles of what rustybt 0.1 to 0.3 left below a zipline root.

    What is old is read and never changed: new versions are written beside it, and every row is
    read back and compared. A migration that was killed is run again; --revert removes what it made.

    Exits 1 if something is damaged or missing; the rest is migrated all the same.
    """
    from rustybt.cli._output import progress, say, stderr
    from rustybt.legacy.migration.command import Request, deprecation, run

    old = {name: typed.pop(name) for name in ("dry_run", "backup", "no_backup")}
    old["rollback"] = rollback
    for name in (name for name, given in old.items() if given):
        stderr().print(deprecation(f"--{name.replace('_', '-')}"), soft_wrap=True)
    chosen = action or ("revert" if rollback else "validate")
    with progress("Reading") as update:
        request = Request(chosen, written=written or "refuse", **typed)  # type: ignore[arg-type]
        code = run(request, say, None if request.as_json else update)
    raise click.exceptions.Exit(code)
