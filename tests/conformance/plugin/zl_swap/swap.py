"""Put replacements where zipline's own modules hold the originals."""

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from zl_swap.roles import BUNDLE_CORE, ROLES, resolve
from zl_swap.settings import Settings
from zl_swap.tally import Tally

#: Imported first, so that every name that they bind can be replaced.
_HOLDERS = ("zipline", "zipline.__main__", "zipline.data.bundles", "zipline.utils.run_algo")
#: Imported afterwards: it derives classes from the portal, and must see the replacement.
_DERIVING = ("zipline.testing.core", "zipline.testing.fixtures")
_CORE = "zipline.data.bundles.core"
_CORE_NAMES = ("bundles", "register", "unregister", "ingest", "load", "clean")


def swap(settings: Settings) -> Tally:
    """Do what the settings ask for; with no settings, only watch zipline's own classes."""
    tally = Tally()
    for name in _HOLDERS:
        importlib.import_module(name)
    if settings.install:
        resolve(settings.install)()
    for role, place in ROLES.items():
        original = place.original()
        if role in settings.classes:
            replacement = _prepared(role, settings, tally)
            tally.forbid(role, original, trip=settings.trip)
            _replace(original, replacement)
        else:
            replacement = original
        tally.watch(role, _foundation(replacement))
    _swap_bundle_core(settings, tally)
    for name in _DERIVING:
        importlib.import_module(name)
    return tally


def _foundation(cls: type[Any]) -> type[Any]:
    """The class of its own library on which `cls` rests: siblings of `cls` count too."""
    library = cls.__module__.partition(".")[0]
    line = [each for each in cls.__mro__ if each.__module__.partition(".")[0] == library]
    return [each for each in line if "__init__" in vars(each)][-1]


def _prepared(role: str, settings: Settings, tally: Tally) -> type[Any]:
    """The replacement of a role, reading bcolz through its converter if it has one."""
    cls = resolve(settings.classes[role])
    if role in settings.converters:
        _convert_first(cls, resolve(settings.converters[role]), tally)
    return cls


def _convert_first(cls: type[Any], convert: Any, tally: Tally) -> None:
    init = cls.__init__

    @functools.wraps(init)
    def converting(self: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        if _is_bcolz(path):
            with tally.suspended():
                path = convert(path)
        init(self, path, *args, **kwargs)

    cls.__init__ = converting


def _is_bcolz(path: Any) -> bool:
    if not isinstance(path, str | os.PathLike):
        return False
    minute = Path(path, "metadata.json")
    daily = Path(path, "__rootdirs__")
    return daily.exists() or (minute.exists() and '"ohlc_ratio"' in minute.read_text())


def _zipline_modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        if module is not None and name.partition(".")[0] == "zipline":
            yield module


def _replace(original: Any, replacement: Any) -> None:
    """Rebind every name, in zipline's modules and in their classes, that holds `original`."""
    for module in _zipline_modules():
        for name, value in list(vars(module).items()):
            if value is original:
                setattr(module, name, replacement)
            elif inspect.isclass(value) and value.__module__ == module.__name__:
                for inner, held in list(vars(value).items()):
                    if held is original:
                        setattr(value, inner, replacement)


def _swap_bundle_core(settings: Settings, tally: Tally) -> None:
    core = importlib.import_module(_CORE)
    make = resolve(settings.bundle_core) if settings.bundle_core else core._make_bundle_core
    if settings.bundle_core:
        _lay_bundles_where_zipline_does()

    def make_counted(*args: Any, **kwargs: Any) -> Any:
        made = make(*args, **kwargs)
        counted = {name: _counted(getattr(made, name), tally) for name in ("ingest", "load")}
        return made._replace(**counted)

    present = {name: getattr(core, name) for name in _CORE_NAMES}
    replacement = make_counted()
    for name, bundle in present["bundles"].items():
        _register_again(replacement, name, bundle)
    for name, original in present.items():
        _replace(original, getattr(replacement, name))
    core._make_bundle_core = make_counted


def _register_again(core: Any, name: str, bundle: Any) -> None:
    arguments = bundle._asdict()
    core.register(name, arguments.pop("ingest"), **arguments)


def _counted(function: Any, tally: Tally) -> Any:
    @functools.wraps(function)
    def counting(*args: Any, **kwargs: Any) -> Any:
        tally.count(BUNDLE_CORE)
        return function(*args, **kwargs)

    return counting


def _lay_bundles_where_zipline_does() -> None:
    """Bundles go to ``<zipline root>/data``, where zipline's tests look for ingestions.

    Everywhere else they lie beside zipline's own, in ``<zipline root>/rustybt``.
    """
    from zipline.utils.paths import data_path

    from rustybt.data.bundles import storage

    def bundles_root(environ: Mapping[str, str] = os.environ) -> Path:
        return Path(data_path([], environ=environ))

    storage.bundles_root = bundles_root
