"""Make new bundles of the catalogs and bundles of rustybt 0.1 to 0.3.

    python scripts/migrate_catalog_to_unified.py --validate   # print the plan, change nothing
    python scripts/migrate_catalog_to_unified.py --apply
    python scripts/migrate_catalog_to_unified.py --revert     # within 7 days

`rustybt migrate` is the same. docs/migration.md is the guide.
"""

import argparse
import sys
from pathlib import Path

from rustybt.data.errors import RustyBTError
from rustybt.legacy.migration.command import Request, deprecation, run


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    action = made.add_mutually_exclusive_group()
    for name, text in (
        ("validate", "print the plan and change nothing (the default)"),
        ("apply", "migrate; can be killed and run again"),
        ("revert", "remove what was migrated, within 7 days"),
    ):
        action.add_argument(f"--{name}", action="store_const", dest="action", const=name, help=text)
    made.add_argument("--force", action="store_true", help="revert also after 7 days")
    since = made.add_mutually_exclusive_group()
    since.add_argument(
        "--keep", action="store_const", dest="written", const="keep",
        help="revert all but the bundles that were written to since",
    )  # fmt: skip
    since.add_argument(
        "--drop", action="store_const", dest="written", const="drop",
        help="revert, and remove what was written since as well",
    )  # fmt: skip
    made.add_argument("--root", type=Path, help="the zipline root ($ZIPLINE_ROOT, else ~/.zipline)")
    made.add_argument("--bundle", help="migrate this one only")
    made.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    for flag in ("--dry-run", "--backup", "--no-backup"):
        made.add_argument(flag, action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--rollback", help=argparse.SUPPRESS)
    made.set_defaults(written="refuse")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    typed = parser().parse_args(arguments)
    for name in ("dry_run", "backup", "no_backup", "rollback"):
        if getattr(typed, name):
            print(deprecation(f"--{name.replace('_', '-')}"), file=sys.stderr)
    action = typed.action or ("revert" if typed.rollback else "validate")
    request = Request(action, typed.root, typed.bundle, typed.as_json, typed.force, typed.written)

    def progress(done: int, total: int, what: str) -> None:
        end = "\r" if done < total else "\n"
        print(f"{done}/{total} {what:<40.40}", end=end, file=sys.stderr)

    quiet = typed.as_json or not sys.stderr.isatty()
    try:
        return run(request, print, None if quiet else progress)
    except (RustyBTError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
