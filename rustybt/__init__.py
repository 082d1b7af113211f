"""zipline algorithms, unchanged, on versioned Parquet bundles.

The few names that a user types, each imported on first use::

    from rustybt import run_algorithm
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rustybt.compat.run import run_algorithm
    from rustybt.data.bundles import BundleMetadata
    from rustybt.data.errors import RustyBTError
    from rustybt.data.sources import DataSourceRegistry

__all__ = ["BundleMetadata", "DataSourceRegistry", "RustyBTError", "run_algorithm"]

_HOMES = {
    "BundleMetadata": "rustybt.data.bundles",
    "DataSourceRegistry": "rustybt.data.sources",
    "RustyBTError": "rustybt.data.errors",
    "run_algorithm": "rustybt.compat.run",
}

try:
    __version__ = version("rustybt")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from rustybt.compat.deferred import deferred

        with deferred():
            return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rustybt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
