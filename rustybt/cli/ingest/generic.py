"""``rustybt ingest NAME`` for a source that has no options of its own here."""

import inspect
import json
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args

import click

from rustybt.cli._params import KeyValue
from rustybt.cli.ingest._bundle import bundle_options, ingest_bundle

_NUMBERS = {int: int, float: float, "int": int, "float": float}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def command_for(name: str) -> click.Command:
    """The command that ingests a registered source.

    Raises
    ------
    UnknownSourceError
        If there is none of that name.
    """
    from rustybt.data.sources.registry import DataSourceRegistry

    info = DataSourceRegistry.get_source_info(name)

    @click.command(name, short_help=f"{info.summary} {info.install_hint}".strip())
    @click.option(
        "--option",
        "options",
        type=KeyValue(),
        multiple=True,
        help=f"Configuration of the source; may be repeated. Which: rustybt sources info {name}",
    )
    @bundle_options
    def command(options: tuple[tuple[str, str], ...], **request: Any) -> None:
        source_class = DataSourceRegistry.get_class(name)
        config = configuration(source_class, dict(options))
        ingest_bundle(DataSourceRegistry.get_source(name, **config), **request)

    command.help = f"{info.summary}\n\nSource {name!r} ({info.origin})."
    return command


def parameters(source_class: type) -> Mapping[str, inspect.Parameter]:
    """The configuration that a source's constructor takes by name."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(source_class).parameters
    return {name: each for name, each in found.items() if each.kind in by_name}


def configuration(source_class: type, options: Mapping[str, str]) -> dict[str, Any]:
    """Options as a source's constructor wants them, by its annotations.

    Raises
    ------
    click.UsageError
        If the source has no such option, wants one that is not given, or wants a number.
    """
    found = inspect.signature(source_class)
    known = parameters(source_class)
    try:
        found.bind_partial(**options)  # complains of unknown ones
        found.bind(**options)
    except TypeError as error:
        listed = ", ".join(known) or "none"
        raise click.UsageError(f"--option: {error}; it takes: {listed}") from error
    return {
        name: _typed(name, text, known[name].annotation if name in known else str)
        for name, text in options.items()
    }


def _typed(name: str, text: str, annotation: Any) -> Any:
    if annotation in (bool, "bool"):
        if text.lower() not in _TRUTHS:
            raise click.UsageError(f"--option {name}: {text!r} is not true or false")
        return _TRUTHS[text.lower()]
    number = next((_NUMBERS[each] for each in _alternatives(annotation) if each in _NUMBERS), None)
    if number is not None:
        try:
            return number(text)
        except ValueError as error:
            raise click.UsageError(f"--option {name}: {text!r} is not a number") from error
    return _json(name, text) if text[:1] in ("{", "[") else text


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types of ``float | None``, or the one of ``float``."""
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--option {name}: {text!r} is not JSON: {error}") from error
