"""Import zipline without the libraries that it imports and seldom uses.

zipline 3.2.1 and what it imports load SciPy's statistics, networkx, alembic, requests, HDF5 twice
and, where it is installed, yfinance: half of the time that `import zipline` takes. A run uses none
of them unless it draws a regression, builds a pipeline, downgrades a database or fetches a file.
Inside `deferred` they are imported as modules that load themselves on their first use; afterwards
they are modules like any other.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from rustybt.compat._garbage import uncollected

#: Modules to put off -> names that zipline takes out of them when it is imported.
DEFERRED: dict[str, frozenset[str]] = {
    "alembic": frozenset(),
    "alembic.migration": frozenset({"MigrationContext"}),
    "alembic.operations": frozenset({"Operations"}),
    "h5py": frozenset(),
    "networkx": frozenset({"topological_sort"}),
    "requests": frozenset(),
    "scipy.optimize": frozenset(),
    "scipy.stats": frozenset(
        {"kurtosis", "linregress", "pearsonr", "rankdata", "skew", "spearmanr"}
    ),
    "tables": frozenset(),
    "yfinance": frozenset(),
}


class _Later:
    """A function or class of a module that is not loaded yet."""

    def __init__(self, module: "_DeferredModule", name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._module, self._name)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._module, self._name), name)


class _DeferredModule(ModuleType):
    """A module that loads itself when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # asked of every module; a package has it before it is loaded
            raise AttributeError(name)
        state = self.__dict__
        if name in state["_rustybt_names"] and state["_rustybt_finder"].is_open:
            return _Later(self, name)
        _load(self)
        return getattr(self, name)


def _load(module: _DeferredModule) -> None:
    loader: Loader = module.__dict__.pop("_rustybt_loader")
    for name in ("_rustybt_names", "_rustybt_finder"):
        del module.__dict__[name]
    module.__class__ = ModuleType
    spec = module.__spec__
    assert spec is not None  # noqa: S101  it was made from one
    spec.loader = module.__loader__ = loader
    loader.exec_module(module)


class _DeferringLoader(Loader):
    def __init__(self, loader: Loader, finder: "_Finder") -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["_rustybt_loader"] = self._loader
        module.__dict__["_rustybt_names"] = DEFERRED[module.__name__]
        module.__dict__["_rustybt_finder"] = self._finder
        module.__class__ = _DeferredModule


class _Finder(MetaPathFinder):
    """Finds the deferred modules, as long as it is open."""

    is_open = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in DEFERRED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _DeferringLoader(spec.loader, self)
        return spec


@contextmanager
def deferred() -> Iterator[None]:
    """Put off the modules of `DEFERRED` that are imported inside."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        with uncollected():
            yield
    finally:
        finder.is_open = False
        sys.meta_path.remove(finder)
