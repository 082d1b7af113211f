"""Import zipline without the libraries that it imports and seldom uses.

zipline 3.2.1 and what it imports load SciPy's statistics, SQLAlchemy, Arrow, networkx, alembic,
requests, HDF5 twice, bcolz, the calendars of seventy exchanges and, where it is installed,
yfinance: half of the time that `import zipline` takes. A run uses none of them, or one of the
calendars, unless it draws a regression, builds a pipeline, writes a database or fetches a file.
What is imported of them inside `deferred` is a stand-in, which imports the library on its first use
and gives its place in zipline's modules to the real thing. The import system never sees a stand-in
afterwards: whoever imports such a library imports it as ever.
"""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from importlib.metadata import version
from types import ModuleType
from typing import Any

from rustybt.data._garbage import uncollected

_SCHEMA = "zipline.assets.asset_db_schema"
#: Where exchange_calendars imports the calendar of every exchange there is; a run needs one.
_CALENDARS = "exchange_calendars.calendar_utils"
#: Of New York, where most runs are, and what the others share, is loaded at once.
_EXCHANGE = re.compile(r"exchange_calendars\.exchange_calendar_(?!xnys$)(\w+)")

#: Modules to put off -> names that zipline and pandas take out of them when they are imported.
DEFERRED: dict[str, frozenset[str]] = {
    "alembic": frozenset(),
    "alembic.migration": frozenset({"MigrationContext"}),
    "alembic.operations": frozenset({"Operations"}),
    "bcolz": frozenset({"carray", "ctable"}),
    "h5py": frozenset(),
    "networkx": frozenset({"topological_sort"}),
    # Makes a list of Arrow's types.
    "pandas._testing": frozenset(
        {
            "assert_extension_array_equal", "assert_frame_equal", "assert_index_equal",
            "assert_series_equal",
        }
    ),
    "pyarrow": frozenset({"__version__"}),
    "pyarrow.compute": frozenset(
        {
            "add_checked", "and_kleene", "bit_wise_and", "bit_wise_or", "bit_wise_xor", "equal",
            "greater", "greater_equal", "less", "less_equal", "multiply_checked", "not_equal",
            "or_kleene", "power_checked", "subtract_checked", "xor",
        }
    ),
    "pyarrow.ipc": frozenset(),
    "pyarrow.parquet": frozenset(),
    "pygments": frozenset({"highlight"}),
    "pygments.formatters": frozenset({"TerminalFormatter"}),
    "pygments.lexers": frozenset({"PythonLexer"}),
    "requests": frozenset(),
    "scipy.optimize": frozenset(),
    "scipy.stats": frozenset(
        {"kurtosis", "linregress", "pearsonr", "rankdata", "skew", "spearmanr"}
    ),
    "sqlalchemy": frozenset(),
    "sqlalchemy.pool": frozenset({"NullPool"}),
    "tables": frozenset(),
    "yfinance": frozenset(),
    _SCHEMA: frozenset(
        {
            "ASSET_DB_VERSION", "asset_db_table_names", "asset_router", "equities",
            "equity_supplementary_mappings", "equity_symbol_mappings", "exchanges",
            "futures_contracts", "futures_root_symbols", "metadata", "version_info",
        }
    ),
}  # fmt: skip

_OF_THE_IMPORT_SYSTEM = frozenset(
    {"__cached__", "__file__", "__loader__", "__package__", "__path__", "__spec__"}
)
#: Loaded as soon as one that it needs is.
_TOGETHER = {"sqlalchemy": ("sqlalchemy.pool", _SCHEMA)}


def _taken(module: str) -> frozenset[str] | None:
    """Names that are taken out of a module when it is imported; None if it is not put off."""
    exchange = _EXCHANGE.fullmatch(module)
    if exchange is not None:
        return frozenset({f"{exchange[1].upper()}ExchangeCalendar"})
    return DEFERRED.get(module)


class _Later:
    """A function, class or value of a module that is not loaded yet."""

    def __init__(self, module: "_DeferredModule", name: str) -> None:
        self._module = module
        self._name = name

    def _rustybt_real(self) -> Any:
        return getattr(_load(self._module), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._rustybt_real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rustybt_real(), name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rustybt_real())

    def __contains__(self, item: object) -> bool:
        return item in self._rustybt_real()

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._rustybt_real())


class _DeferredModule(ModuleType):
    """A stand-in for a module, which it imports when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        finder: _Finder = self.__dict__["_rustybt_finder"]
        if finder.is_open and name in (_taken(self.__name__) or ()):
            return self._rustybt_constant(name)
        if name in _OF_THE_IMPORT_SYSTEM and finder.is_open:  # which sets what it does not find
            raise AttributeError(name)
        return getattr(_load(self), name)

    def _rustybt_constant(self, name: str) -> Any:
        """The library's version, or a number in the module's source; else a stand-in."""
        if name == "__version__":
            return version(self.__name__)
        source = self.__dict__["_rustybt_source"] or ""
        found = re.search(rf"^{name} = (\d+)$", source, re.MULTILINE)
        return ast.literal_eval(found[1]) if found else _Later(self, name)


class _Holder(ModuleType):
    """A module of zipline's with stand-ins, which nobody gets to see who asks it for a name."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return _real(value) if isinstance(value, _Later | _DeferredModule) else value


class _Factories(dict[str, Any]):
    """Names of calendars and their classes, which are loaded when they are looked up."""

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()  # whoever copies a dict that has its own looks its items up

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        if type(found) is _Later:
            found = self[name] = _real(found)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def pop(self, name: str, *default: Any) -> Any:
        found = super().pop(name, *default)
        return _real(found) if type(found) is _Later else found

    def values(self) -> Any:
        return {name: self[name] for name in self}.values()

    def items(self) -> Any:
        return {name: self[name] for name in self}.items()


def _real(stand_in: "_Later | _DeferredModule") -> Any:
    return _load(stand_in) if isinstance(stand_in, _DeferredModule) else stand_in._rustybt_real()


def _load(module: _DeferredModule) -> ModuleType:
    """The module that one stands for; it and those that go with it take their places."""
    state = module.__dict__
    finder: _Finder = state["_rustybt_finder"]
    if "_rustybt_loaded" not in state:
        finder.step_aside(module.__name__)
        state["_rustybt_loaded"] = import_module(module.__name__)
        for name in (module.__name__, *_TOGETHER.get(module.__name__, ())):
            finder.give_way(name)
    loaded: ModuleType = state["_rustybt_loaded"]
    return loaded


class _DeferringLoader(Loader):
    def __init__(self, source: str | None, finder: "_Finder") -> None:
        self._source = source
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module = _DeferredModule(spec.name)
        module.__dict__["_rustybt_source"] = self._source
        module.__dict__["_rustybt_finder"] = self._finder
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it runs when it is used."""


class _Finder(MetaPathFinder):
    """Finds the deferred modules as long as it is open, and knows who holds stand-ins of them."""

    def __init__(self) -> None:
        self.is_open = True
        self._loaded: set[str] = set()
        self._made: set[str] = set()
        self._before = set(sys.modules)
        self._held: dict[str, list[tuple[ModuleType, str]]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if _taken(fullname) is None or _root(fullname) in self._loaded:
            return None
        if fullname == _SCHEMA and not isinstance(sys.modules.get("sqlalchemy"), _DeferredModule):
            return None  # nothing to be gained
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            source = None
            if fullname == _SCHEMA:
                source = spec.loader.get_source(fullname)  # type: ignore[attr-defined]
            spec.loader = _DeferringLoader(source, self)
            self._made.add(fullname)
        return spec

    def step_aside(self, name: str) -> None:
        """Let the import system find the real modules of the library that `name` is of."""
        root = _root(name)
        self._loaded.add(root)
        for each in self._made:
            if _root(each) == root:
                _forget(each)

    def close(self) -> None:
        """Take the stand-ins out of the import system, and note who holds them."""
        self.is_open = False
        for name in self._made:
            _forget(name)
        for name in sys.modules.keys() - self._before:
            module = sys.modules[name]
            if isinstance(module, ModuleType):
                self._note(module)

    def _note(self, module: ModuleType) -> None:
        for key, value in module.__dict__.items():
            # A stand-in of anything would claim to be whatever it stands for.
            if type(value) is _Later or type(value) is _DeferredModule:
                stands_for = value._module if type(value) is _Later else value
                self._held.setdefault(stands_for.__name__, []).append((module, key))
                # Compiled ones are asked for names in the innermost loops, and for no stand-in.
                compiled = isinstance(module.__dict__.get("__loader__"), ExtensionFileLoader)
                if type(module) is ModuleType and not compiled:
                    module.__class__ = _Holder
        if module.__name__ == _CALENDARS:
            dispatcher = module.global_calendar_dispatcher
            dispatcher._calendar_factories = _Factories(dispatcher._calendar_factories)
            module._default_calendar_factories = _Factories(module._default_calendar_factories)

    def give_way(self, name: str) -> None:
        """Put the real things where stand-ins of a module are held."""
        for module, key in self._held.pop(name, ()):
            value = module.__dict__.get(key)
            if type(value) is _Later or type(value) is _DeferredModule:
                module.__dict__[key] = _real(value)


def _root(name: str) -> str:
    return name.partition(".")[0]


def _forget(name: str) -> None:
    """Take a stand-in out of the import system."""
    stand_in = sys.modules.get(name)
    if type(stand_in) is not _DeferredModule:
        return
    del sys.modules[name]
    package, _, child = name.rpartition(".")
    parent = sys.modules.get(package)
    if parent is not None and parent.__dict__.get(child) is stand_in:
        delattr(parent, child)


@contextmanager
def deferred() -> Iterator[None]:
    """Put off the modules of `DEFERRED` that are imported inside."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        with uncollected():
            yield
    finally:
        sys.meta_path.remove(finder)
        finder.close()
