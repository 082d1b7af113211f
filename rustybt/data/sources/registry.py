"""Sources by name: the built-in ones, those of other packages, and a user's own."""

import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from inspect import getdoc
from typing import Any, ClassVar

from rustybt.data.errors import MissingExtraError, UnknownSourceError
from rustybt.data.sources.base import DataSource

#: Entry-point group in which other packages name their sources.
ENTRY_POINT_GROUP = "rustybt.sources"


@dataclass(frozen=True)
class _BuiltIn:
    module: str
    class_name: str
    summary: str
    packages: tuple[str, ...] = ()
    extra: str = ""


_LIVE = ("httpx", "stamina", "websockets")

_BUILT_IN = {
    "alpaca": _BuiltIn(
        "rustybt.data.sources.alpaca",
        "AlpacaDataSource",
        "Alpaca: US stocks, crypto",
        _LIVE,
        "live",
    ),
    "alphavantage": _BuiltIn(
        "rustybt.data.sources.alphavantage",
        "AlphaVantageDataSource",
        "Alpha Vantage: stocks, currencies, crypto",
        _LIVE,
        "live",
    ),
    "ccxt": _BuiltIn(
        "rustybt.data.sources.ccxt",
        "CCXTDataSource",
        "CCXT: spot and derivatives of cryptocurrency exchanges",
        ("ccxt", "stamina"),
        "ccxt",
    ),
    "composite": _BuiltIn(
        "rustybt.data.sources.composite",
        "CompositeDataSource",
        "several of these as one, by symbol and range",
    ),
    "csv": _BuiltIn("rustybt.data.sources.csv", "CSVDataSource", "CSV files, zipline's csvdir"),
    "massive": _BuiltIn(
        "rustybt.data.sources.polygon",
        "MassiveDataSource",
        "Massive, formerly Polygon.io: US stocks, crypto, forex",
        _LIVE,
        "live",
    ),
    "polygon": _BuiltIn(
        "rustybt.data.sources.polygon",
        "PolygonDataSource",
        "the same as massive",
        _LIVE,
        "live",
    ),
    "yfinance": _BuiltIn(
        "rustybt.data.sources.yfinance",
        "YFinanceDataSource",
        "Yahoo Finance: stocks, funds, currencies, crypto; no key",
        ("yfinance", "stamina"),
        "yfinance",
    ),
}


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source without making one.

    Attributes
    ----------
    name : str
    origin : str
        ``built in``, ``registered``, or the distribution that brings it.
    summary : str
        One line.
    installed : bool
        Whether the packages that it needs are there.
    install_hint : str
        What to type if not.
    """

    name: str
    origin: str
    summary: str
    installed: bool = True
    install_hint: str = ""


class DataSourceRegistry:
    """Finds a data source by its name; nothing is imported until it is asked for."""

    _registered: ClassVar[dict[str, type[DataSource]]] = {}

    @classmethod
    def register(cls, name: str, source_class: type[DataSource]) -> None:
        """Make a source known in this process. It goes before another one of that name."""
        if not (isinstance(source_class, type) and issubclass(source_class, DataSource)):
            raise TypeError(f"source {name!r} must be a subclass of DataSource")
        cls._registered[name] = source_class

    @classmethod
    def unregister(cls, name: str) -> None:
        """Forget a source that was made known with `register`.

        Raises
        ------
        UnknownSourceError
            If it was not.
        """
        if cls._registered.pop(name, None) is None:
            raise UnknownSourceError(f"no source was registered as {name!r}")

    @classmethod
    def get_source(cls, name: str, **config: Any) -> DataSource:
        """Make the source of that name, with its configuration.

        Raises
        ------
        UnknownSourceError
            If there is none.
        MissingExtraError
            If a package that it needs is not installed.
        """
        return cls.get_class(name)(**config)

    @classmethod
    def get_class(cls, name: str) -> type[DataSource]:
        """The class of the source of that name, imported now."""
        if name in cls._registered:
            return cls._registered[name]
        if name in _BUILT_IN:
            entry = _BUILT_IN[name]
            for package in entry.packages:
                if find_spec(package) is None:
                    raise MissingExtraError(package, entry.extra)
            found: type[DataSource] = getattr(import_module(entry.module), entry.class_name)
            return found
        if name in _entry_points():
            loaded: type[DataSource] = _entry_points()[name].load()
            return loaded
        raise UnknownSourceError(
            f"there is no data source {name!r}; there are: {', '.join(cls.list_sources())}"
        )

    @classmethod
    def credentials(cls, name: str) -> dict[str, bool]:
        """The environment variables that a source reads, and whether each is set.

        None of a source with a package still to install.
        """
        if not cls.get_source_info(name).installed:
            return {}
        variables = cls.get_class(name).environment_variables
        return {variable: bool(os.environ.get(variable)) for variable in variables}

    @classmethod
    def list_sources(cls) -> list[str]:
        """Names of all sources, sorted; also of those with a package still to install."""
        return sorted({*_BUILT_IN, *_entry_points(), *cls._registered})

    @classmethod
    def get_source_info(cls, name: str) -> SourceInfo:
        """What is known of a source.

        Raises
        ------
        UnknownSourceError
            If there is none of that name.
        """
        if name in _BUILT_IN and name not in cls._registered:
            entry = _BUILT_IN[name]
            installed = all(find_spec(package) is not None for package in entry.packages)
            hint = "" if installed else f"pip install 'rustybt[{entry.extra}]'"
            return SourceInfo(name, "built in", entry.summary, installed, hint)
        source_class = cls.get_class(name)
        summary = (getdoc(source_class) or "").partition("\n")[0]
        return SourceInfo(name, _origin(name, cls._registered), summary)


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _origin(name: str, registered: dict[str, type[DataSource]]) -> str:
    if name in registered:
        return "registered"
    dist = _entry_points()[name].dist
    return dist.name if dist else "entry point"
