"""Bars for research and live use, through Polars."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rustybt.data.polars.data_portal import PolarsDataPortal

__all__ = ["PolarsDataPortal"]

_ON_USE = {"PolarsDataPortal": "rustybt.data.polars.data_portal"}


def __getattr__(name: str) -> object:
    if name in _ON_USE:
        return getattr(import_module(_ON_USE[name]), name)
    raise AttributeError(f"module 'rustybt.data.polars' has no attribute {name!r}")
