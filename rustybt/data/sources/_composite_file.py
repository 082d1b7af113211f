"""The file that describes a composite source."""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from rustybt.data.errors import OptionError, SourceFileError
from rustybt.data.sources._composite_rules import Supplier
from rustybt.data.sources.registry import DataSourceRegistry

_Kinds = Mapping[str, type | tuple[type, ...]]

_RULES: _Kinds = {
    "fallback": list,
    "tolerance": (float, int),
    "adjustment": str,
    "supplier": list,
}
_OF_A_SUPPLIER: _Kinds = {
    "source": str,
    "name": str,
    "symbols": list,
    "start": date,
    "end": date,
    "options": dict,
}


def read_rules(path: Path) -> tuple[list[Supplier], dict[str, Any]]:
    """The suppliers in a TOML file, and the other options of a composite source.

    Raises
    ------
    SourceFileError
        If it cannot be read, or is not TOML.
    OptionError
        If something in it is unknown, of another type, or missing.
    """
    try:
        rules = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SourceFileError(f"{path} cannot be read: {error}") from error
    _require(rules, _RULES, str(path))
    given = rules.pop("supplier", [])
    return [_supplier(each, f"{path}, supplier {row}") for row, each in enumerate(given, 1)], rules


def _supplier(told: Any, where: str) -> Supplier:
    if not isinstance(told, dict) or "source" not in told:
        raise OptionError(f'{where} names no source; write source = "csv"')
    _require(told, _OF_A_SUPPLIER, where)
    rules = dict(told)
    source = DataSourceRegistry.get_source(rules.pop("source"), **rules.pop("options", {}))
    return Supplier(source, **rules)


def _require(told: Mapping[str, Any], known: _Kinds, where: str) -> None:
    for name, value in told.items():
        if name not in known:
            raise OptionError(f"{where} says {name}; it can say {', '.join(known)}")
        if not isinstance(value, known[name]):
            raise OptionError(f"{where}: {name} is {value!r}, which is of a wrong type")
