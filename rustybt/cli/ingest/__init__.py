"""``rustybt ingest SOURCE``: a new version of a bundle, from any source.

A source with options of its own has a module here and a line in `_COMMANDS`. Every other source
that the registry knows gets the command of `rustybt.cli.ingest.generic`.
"""

import click

from rustybt.cli.old import OldIngest

_COMMANDS = {
    "composite": "rustybt.cli.ingest.composite:composite",
    "csv": "rustybt.cli.ingest.csv:csv",
}


class _Sources(OldIngest):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        from rustybt.data.sources.registry import DataSourceRegistry

        return sorted({*self.lazy, *DataSourceRegistry.list_sources()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The command of a source; raises `UnknownSourceError`, which names the known ones."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        from rustybt.cli.ingest.generic import command_for

        return command_for(cmd_name)


@click.group(cls=_Sources, lazy=_COMMANDS, subcommand_metavar="SOURCE [OPTIONS]...")
def ingest() -> None:
    """Make a new version of a bundle from a source.

    Bars are checked before they are written, and the versions before stay as they are. A symbol
    that cannot be had, or whose bars cannot be true, is left out and recorded with the reason; the
    others are written, and the command then exits with 1 unless --allow-partial is given.

    \b
    rustybt ingest csv prices/ --bundle my-data --symbols AAPL,MSFT
    rustybt ingest csv --help    the options of a source
    rustybt sources list         sources, and what is still to install
    """
