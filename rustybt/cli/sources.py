"""``rustybt sources list`` and ``rustybt sources info NAME``."""

from dataclasses import asdict

import click

from rustybt.cli._params import json_option


@click.group()
def sources() -> None:
    """Show where bars can come from."""


@sources.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all sources."""
    from rustybt.cli._output import next_commands, print_json, table
    from rustybt.data.sources.registry import DataSourceRegistry

    names = DataSourceRegistry.list_sources()
    infos = [DataSourceRegistry.get_source_info(name) for name in names]
    if as_json:
        print_json([asdict(each) for each in infos])
        return
    ready = [each.install_hint if not each.installed else "yes" for each in infos]
    rows = [(i.name, i.summary, i.origin, r) for i, r in zip(infos, ready, strict=True)]
    table(("source", "what", "origin", "installed"), rows)
    next_commands("sources info SOURCE", "ingest SOURCE --help")


@sources.command()
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show one source: where it comes from and what it can be told."""
    from rustybt.cli._output import facts, heading, next_commands, print_json
    from rustybt.data.sources.registry import DataSourceRegistry

    found = DataSourceRegistry.get_source_info(name)
    settings = _settings(name) if found.installed else {}
    if as_json:
        print_json({**asdict(found), "configuration": settings})
        return
    heading(f"Source {found.name}")
    facts(
        {
            "what": found.summary,
            "origin": found.origin,
            "installed": "yes" if found.installed else f"no: {found.install_hint}",
            "configuration": "\n".join(settings.values()) or None,
        }
    )
    next_commands(f"ingest {name} --help")


def _settings(name: str) -> dict[str, str]:
    """What the source's constructor takes: name -> the name, with its default if it has one."""
    from rustybt.cli.ingest.generic import parameters
    from rustybt.data.sources.registry import DataSourceRegistry

    known = parameters(DataSourceRegistry.get_class(name))
    return {
        key: key if each.default is each.empty else f"{key}={each.default!r}"
        for key, each in known.items()
    }
