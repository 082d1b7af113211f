"""Commands of rustybt 0.1 to 0.3, which say what replaces them and run that. They go in v2.0."""

from typing import Any

import click

from rustybt.cli._group import LazyGroup
from rustybt.cli._params import Moment, NameList

#: Option of old -> option of a source, where they differ by source.
_SECRETS = {"ccxt": "secret", "alpaca": "secret_key"}
_REGISTERED = "a registered bundle"


def say_deprecated(old: str, new: str) -> None:
    """Say on stderr that a command is old, and what to type."""
    from rustybt.cli._output import stderr

    text = f"'{old}' is deprecated since 1.0 and will be removed in v2.0: use '{new}'."
    stderr().print(text, soft_wrap=True)


def _run(*arguments: str) -> None:
    """Run another command of this program, with its exit code."""
    from rustybt.cli import main

    code = main.main(list(arguments), prog_name="rustybt", standalone_mode=False)
    if isinstance(code, int) and code:
        raise click.exceptions.Exit(code)


class OldIngest(LazyGroup):
    """A group that also takes ``-b NAME`` without a command, as ``zipline ingest`` does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the command that ``-b`` leaves out."""
        named = bool(args) and args[0].split("=")[0] in (
            *("-b", "--bundle", "--assets-version"),
            *("--show-progress", "--no-show-progress"),
        )
        return super().parse_args(ctx, [_REGISTERED, *args] if named else args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that was left out, which no source is named like."""
        if args and args[0] == _REGISTERED:
            return _REGISTERED, registered, args[1:]
        return super().resolve_command(ctx, args)


@click.command()
@click.option("-b", "--bundle", required=True, metavar="NAME")
@click.option("--assets-version", type=int, multiple=True)
@click.option("--show-progress/--no-show-progress", default=True)
def registered(bundle: str, assets_version: tuple[int, ...], show_progress: bool) -> None:
    """Ingest a bundle that is registered with zipline."""
    say_deprecated(f"rustybt ingest -b {bundle}", f"zipline ingest -b {bundle}")
    from rustybt.cli._outcome import fail
    from rustybt.compat import command
    from rustybt.compat.bundles import UnknownBundle, ingest

    command.load_extensions(True, (), False)
    try:
        ingest(bundle, assets_versions=assets_version, show_progress=show_progress)
    except UnknownBundle as error:
        fail(str(error))


@click.command("ingest-unified", hidden=True)
@click.argument("source", required=False)
@click.option("-b", "--bundle")
@click.option("--symbols", type=NameList(), multiple=True)
@click.option("--start")
@click.option("--end")
@click.option("--frequency", type=click.Choice(["1m", "5m", "15m", "30m", "1h", "1d"]))
@click.option("--list-sources", is_flag=True)
@click.option("--source-info")
@click.option("--list-exchanges", is_flag=True)
@click.option("--exchange")
@click.option("--api-key")
@click.option("--api-secret")
@click.option("--csv-dir")
def ingest_unified(source: str | None, symbols: tuple[tuple[str, ...], ...], **typed: Any) -> None:
    """Ingest a source, as releases up to 0.3 spelled it."""
    if typed["list_sources"] or typed["source_info"]:
        shown = ["info", typed["source_info"]] if typed["source_info"] else ["list"]
        say_deprecated("rustybt ingest-unified", "rustybt sources " + " ".join(shown))
        _run("sources", *shown)
    elif typed["list_exchanges"]:
        say_deprecated("rustybt ingest-unified", "rustybt sources info ccxt")
        _list_exchanges()
    elif source is None or typed["bundle"] is None:
        raise click.UsageError("name a source and a bundle: rustybt ingest SOURCE --bundle NAME")
    else:
        say_deprecated(f"rustybt ingest-unified {source}", f"rustybt ingest {source}")
        _run("ingest", source, *_request(source, symbols, typed))


def _request(source: str, symbols: tuple[tuple[str, ...], ...], typed: dict[str, Any]) -> list[str]:
    """The arguments of ``rustybt ingest SOURCE`` that mean the same."""
    words = [typed["csv_dir"]] if source == "csv" and typed["csv_dir"] else []
    words += ["--bundle", typed["bundle"]]
    for group in symbols:
        words += ["--symbols", ",".join(group)]
    for name in ("start", "end", "frequency"):
        words += [f"--{name}", typed[name]] if typed[name] else []
    options = {
        "exchange_id": typed["exchange"],
        "api_key": typed["api_key"],
        _SECRETS.get(source, "api_secret"): typed["api_secret"],
    }
    for name, value in options.items():
        words += ["--option", f"{name}={value}"] if value else []
    return words


def _list_exchanges() -> None:
    from rustybt.cli._output import say
    from rustybt.data.sources._ccxt_client import exchange_ids
    from rustybt.data.sources.registry import DataSourceRegistry

    DataSourceRegistry.get_class("ccxt")  # says what to install
    for name in exchange_ids():
        say(name)


@click.group(hidden=True)
def bundle() -> None:
    """Show and check bundles, as releases up to 0.3 spelled it."""


@bundle.command("list")
def list_() -> None:
    """List all bundles."""
    say_deprecated("rustybt bundle list", "rustybt bundles list")
    _run("bundles", "list")


@bundle.command()
@click.argument("name")
def info(name: str) -> None:
    """Show one bundle."""
    say_deprecated("rustybt bundle info", "rustybt bundles info")
    _run("bundles", "info", name)


@bundle.command()
@click.argument("name")
def validate(name: str) -> None:
    """Judge one bundle."""
    say_deprecated("rustybt bundle validate", "rustybt quality")
    _run("quality", name)


@bundle.command("migrate")
@click.option("--dry-run", is_flag=True)
@click.option("--no-backup", is_flag=True)
@click.option("--rollback")
@click.option("--validate", "validate_only", is_flag=True)
def migrate_old(dry_run: bool, no_backup: bool, rollback: str | None, validate_only: bool) -> None:
    """Migrate what old releases left; without a flag it applies, as it did."""
    say_deprecated("rustybt bundle migrate", "rustybt migrate")
    if no_backup:
        say_deprecated("--no-backup", "nothing: what is old is never changed")
    action = "--validate" if dry_run or validate_only else "--apply"
    _run("migrate", "--revert" if rollback else action)


@click.command(hidden=True)
@click.option("-b", "--bundle", required=True, metavar="NAME")
@click.option("-e", "--before", type=Moment())
@click.option("-a", "--after", type=Moment())
@click.option("-k", "--keep-last", type=click.IntRange(0))
def clean(bundle: str, before: Any, after: Any, keep_last: int | None) -> None:
    """Remove versions of a bundle, as zipline spells it."""
    say_deprecated("rustybt clean", "rustybt bundles clean")
    words = [bundle]
    for name, value in (("before", before), ("after", after), ("keep-last", keep_last)):
        words += [f"--{name}", str(value)] if value is not None else []
    _run("bundles", "clean", *words)
