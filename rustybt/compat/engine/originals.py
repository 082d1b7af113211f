"""Whether somebody put his own functions in the place of zipline's, which the engine would pass by.

What was put there before this package was imported is found as well: a function of zipline's lies
in a file of zipline's, and bears the name of a class that it is a method of.
"""

from collections.abc import Iterable
from functools import lru_cache
from inspect import getattr_static
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import zipline
from zipline.data.data_portal import DataPortal
from zipline.data.history_loader import DailyHistoryLoader, HistoryLoader, MinuteHistoryLoader
from zipline.data.resample import DailyHistoryAggregator
from zipline.finance.ledger import Ledger, PositionTracker
from zipline.finance.metrics import MetricsTracker
from zipline.gens.tradesimulation import AlgorithmSimulator

_HOME = str(Path(zipline.__file__).parent)
#: Classes of zipline's of which the engine does much in its own way, private methods included.
_PASSED_BY: tuple[type, ...] = (
    AlgorithmSimulator,
    DailyHistoryAggregator,
    DailyHistoryLoader,
    DataPortal,
    HistoryLoader,
    Ledger,
    MetricsTracker,
    MinuteHistoryLoader,
    PositionTracker,
)


def passes_by_nothing() -> bool:
    """Whether all methods that the engine would pass by are those that zipline has there."""
    return all(
        _is_own(value, kind, name)
        for kind in _PASSED_BY
        for name, value in vars(kind).items()
        if isinstance(value, FunctionType)
    )


def is_zipline_s(owner: type | ModuleType, *names: str) -> bool:
    """Whether functions and properties of a class or a module are those that zipline has there."""
    return all(_is_own(getattr(owner, name), owner, name) for name in names)


def _is_own(value: Any, owner: type | ModuleType, name: str) -> bool:
    function = value.fget if isinstance(value, property) else value
    return isinstance(function, FunctionType) and _is_at_home(function, owner, name)


@lru_cache(maxsize=512)
def _is_at_home(function: FunctionType, owner: type | ModuleType, name: str) -> bool:
    place, _, own_name = function.__qualname__.rpartition(".")
    kinds = owner.__mro__ if isinstance(owner, type) else ()
    return (
        function.__code__.co_filename.startswith(_HOME)
        and own_name == name
        and place in ({kind.__qualname__ for kind in kinds} or {""})
    )


def step_aside(part: Any, ours: Iterable[type], zipline_s: type) -> None:
    """Give a part of the engine the methods that somebody put into the class of zipline's.

    Parameters
    ----------
    part : object
        Of a class that is derived from `ours` and `zipline_s`.
    ours : iterable of type
        Those that write methods of zipline's anew.
    """
    names = {name for kind in ours for name in vars(kind) if not name.startswith("__")}
    for name in names & set(dir(zipline_s)):
        method = getattr_static(zipline_s, name)
        is_method = callable(method) or isinstance(method, staticmethod)
        if is_method and not is_zipline_s(zipline_s, name):
            setattr(part, name, method.__get__(part, type(part)))
