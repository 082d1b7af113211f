"""``rustybt sources list``, ``rustybt sources info NAME`` and ``rustybt sources test NAME``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import KeyValue, json_option

if TYPE_CHECKING:
    from rustybt.data.sources import DataSource, DataSourceMetadata


@click.group()
def sources() -> None:
    """Show where bars can come from."""


@sources.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all sources: what is installed, and which credentials are set."""
    from rustybt.cli._output import facts, heading, next_commands, print_json, say, table
    from rustybt.data.sources.registry import DataSourceRegistry

    names = DataSourceRegistry.list_sources()
    infos = [DataSourceRegistry.get_source_info(name) for name in names]
    keys = [DataSourceRegistry.credentials(name) for name in names]
    if as_json:
        print_json([{**asdict(i), "credentials": k} for i, k in zip(infos, keys, strict=True)])
        return
    rows = [
        (i.name, i.summary, i.origin, "yes" if i.installed else "no", _spelled(k))
        for i, k in zip(infos, keys, strict=True)
    ]
    table(("source", "what", "origin", "installed", "credentials"), rows)
    missing = {each.name: each.install_hint for each in infos if not each.installed}
    if missing:
        say()
        heading("To install")
        facts(missing)
    next_commands("sources info SOURCE", "sources test SOURCE", "ingest SOURCE --help")


@sources.command()
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show one source: what it has, what it needs, and what it can be told."""
    from rustybt.cli._output import facts, heading, next_commands, print_json
    from rustybt.data.sources.registry import DataSourceRegistry

    found = DataSourceRegistry.get_source_info(name)
    settings = _settings(name) if found.installed else {}
    keys = DataSourceRegistry.credentials(name)
    told = _told(name) if found.installed else {}
    if as_json:
        print_json({**asdict(found), "credentials": keys, **told, "configuration": settings})
        return
    heading(f"Source {found.name}")
    facts(
        {
            "what": found.summary,
            "origin": found.origin,
            "installed": "yes" if found.installed else f"no: {found.install_hint}",
            "credentials": _spelled(keys) or None,
            **told,
            "configuration": "\n".join(settings.values()) or None,
        }
    )
    next_commands(f"sources test {name}", f"ingest {name} --help")


@sources.command()
@click.argument("name")
@click.option("--symbol", help="What to ask for.  [default: one that the source has for sure]")
@click.option(
    "--option",
    "options",
    type=KeyValue(),
    multiple=True,
    help="Configuration of the source, as for ingest; may be repeated.",
)
@json_option
def test(
    name: str, symbol: str | None, options: tuple[tuple[str, str], ...], as_json: bool
) -> None:
    """Ask a source for a few bars, and say what came of it.

    Exits with 1 if it did not answer with bars, or with the reason why the symbol has none: it then
    says whether that is for the credentials, the network, the provider, or the symbol.
    """
    from rustybt.cli._output import count, facts, heading, print_json
    from rustybt.data import _sync
    from rustybt.data.sources._probe import probe

    with _judged(name):
        probed = _sync.run(probe(_made(name, dict(options)), symbol))
    if as_json:
        print_json({"source": name, **asdict(probed)})
        return
    heading(f"Source {name} answers")
    facts(
        {
            "bars": f"{count(probed.bars, 'bar')} of {probed.symbol}, {probed.frequency}",
            "from": probed.first,
            "to": probed.last,
            "none": probed.absence or None,
            "took": f"{probed.seconds:.2f} s",
        }
    )


@contextmanager
def _judged(name: str) -> Iterator[None]:
    """Say of a failure what it means for the source."""
    from rustybt.cli._outcome import fail
    from rustybt.data.errors import SourceError, UnknownSourceError
    from rustybt.data.sources._probe import verdict

    try:
        yield
    except UnknownSourceError:
        raise
    except SourceError as error:
        fail(f"source {name} failed the test: {verdict(error)}.\n{error}")


def _made(name: str, options: Mapping[str, str]) -> "DataSource":
    from rustybt.cli.ingest.generic import configuration
    from rustybt.data.sources.registry import DataSourceRegistry

    config = configuration(DataSourceRegistry.get_class(name), options)
    return DataSourceRegistry.get_source(name, **config)


def _spelled(credentials: Mapping[str, bool]) -> str:
    """Each variable on a line, and whether it is set."""
    return "\n".join(f"{name}: {'yes' if is_set else 'no'}" for name, is_set in credentials.items())


def _told(name: str) -> dict[str, Any]:
    """What a source says of itself, if it can be made without being told anything."""
    from rustybt.cli.ingest.generic import parameters
    from rustybt.data.sources.registry import DataSourceRegistry

    known = parameters(DataSourceRegistry.get_class(name))
    if any(each.default is each.empty for each in known.values()):
        return {}
    source = DataSourceRegistry.get_source(name)
    return {**_facts(source.get_metadata()), "streams": "yes" if source.supports_live() else "no"}


def _facts(metadata: "DataSourceMetadata") -> dict[str, Any]:
    from rustybt.data.bars import spelled

    pace = metadata.requests_per_minute
    return {
        "frequencies": spelled(metadata.frequencies),
        "adjustment": metadata.adjustment,
        "settles in": str(metadata.settle_lag),
        "calendar": metadata.calendar,
        "feed": metadata.feed or None,
        "requests": f"{pace:g} a minute at most" if pace else None,
    }


def _settings(name: str) -> dict[str, str]:
    """What the source's constructor takes: name -> the name, with its default if it has one."""
    from rustybt.cli.ingest.generic import parameters
    from rustybt.data.sources.registry import DataSourceRegistry

    known = parameters(DataSourceRegistry.get_class(name))
    return {
        key: key if each.default is each.empty else f"{key}={each.default!r}"
        for key, each in known.items()
        if not callable(each.default) or each.default is each.empty
    }
