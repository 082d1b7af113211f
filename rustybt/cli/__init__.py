"""The command line: ``rustybt``, and ``python -m rustybt``.

Arguments in, a call of the library, a summary out. Each command is a module of its own that is
imported when it is used, and it imports the library when it runs.

Exit codes: 0 done; 1 it could not be done, and one message on stderr says why (or, for an error
in a user's algorithm, its traceback); 2 the command was typed wrongly; 130 interrupted.
"""

import logging

import click

from rustybt.cli._group import LazyGroup
from rustybt.cli._outcome import reported


class _Main(LazyGroup):
    def invoke(self, ctx: click.Context) -> object:
        # A message that nobody handles goes to the terminal; what matters is said at the end.
        logging.getLogger("stamina").addHandler(logging.NullHandler())
        with reported():
            return super().invoke(ctx)


@click.group(
    "rustybt",
    cls=_Main,
    lazy={
        "demo": "rustybt.cli.demo:demo",
        "ingest": "rustybt.cli.ingest:ingest",
        "stream": "rustybt.cli.stream:stream",
        "run": "rustybt.cli.run:run",
        "parity": "rustybt.cli.parity:parity",
        "bundles": "rustybt.cli.bundles:bundles",
        "quality": "rustybt.cli.quality:quality",
        "verify-run": "rustybt.cli.verify_run:verify_run",
        "doctor": "rustybt.cli.doctor:doctor",
        "sources": "rustybt.cli.sources:sources",
        "cache": "rustybt.cli.cache:cache",
        "convert": "rustybt.cli.convert:convert",
        "export": "rustybt.cli.export:export",
        "migrate": "rustybt.cli.migrate:migrate",
        "zipline": "rustybt.cli.zipline:zipline",
        # Old names, hidden from the help.
        "bundle": "rustybt.cli.old:bundle",
        "clean": "rustybt.cli.old:clean",
        "ingest-unified": "rustybt.cli.old:ingest_unified",
    },
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Bundles are kept in $ZIPLINE_ROOT/rustybt, or in ~/.zipline/rustybt.",
)
@click.version_option(package_name="rustybt", message="rustybt %(version)s")
def main() -> None:
    """Run zipline algorithms, unchanged, on versioned Parquet bundles.

    \b
    To see it work:
      rustybt demo
    With your own data:
      rustybt ingest csv FOLDER --bundle my-data
      rustybt run -f algorithm.py -b my-data --start 2020-01-02 --end 2023-12-29
    """
