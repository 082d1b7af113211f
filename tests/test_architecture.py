"""The rules of the rooms: who imports whom, what is exported, what an import may bring along."""

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "rustybt"
FILES = sorted(PACKAGE.rglob("*.py"))

#: Rooms from the lowest to the highest; a room imports from lower ones and from itself.
ROOMS = [
    [
        "rustybt.data.errors",
        "rustybt.data._columns",
        "rustybt.data._garbage",
        "rustybt.data._calendar_cache",
    ],
    ["rustybt.data.bars"],
    [
        "rustybt.data.calendars",
        "rustybt.data.adjustments",
        "rustybt.data._sync",
    ],
    ["rustybt.data.provenance", "rustybt.data.listings"],
    ["rustybt.data.bundles", "rustybt.data.sources", "rustybt.data.samples"],
    ["rustybt.data.polars"],
    ["rustybt.compat", "rustybt.legacy"],
    ["rustybt.cli"],
]
#: Old import paths: each is one import out of rustybt.legacy, and no room imports them.
DOORS = {
    "rustybt.data.adapters",
    "rustybt.data.adapters.alpaca_adapter",
    "rustybt.data.adapters.alphavantage_adapter",
    "rustybt.data.adapters.base",
    "rustybt.data.adapters.ccxt_adapter",
    "rustybt.data.adapters.csv_adapter",
    "rustybt.data.adapters.polygon_adapter",
    "rustybt.data.adapters.yfinance_adapter",
    "rustybt.data.bundles.adapter_bundles",
    "rustybt.data.bundles.migration",
    "rustybt.data.catalog",
    "rustybt.data.metadata_tracker",
    "rustybt.data.polars.metadata_catalog",
}
#: Modules that stand beside the rooms, and why they may import from any.
FRONT_DOORS = {
    "rustybt": "names the user types, imported on first use",
    "rustybt.__main__": "python -m rustybt",
    "rustybt.data": "a package of rooms",
}
#: Imports between two rooms of one height that go one way only: importing room -> imported ones.
NEIGHBOURS = {
    # A source writes itself into a bundle; a bundle knows sources by their interface only.
    "rustybt.data.sources": {"rustybt.data.bundles"},
    "rustybt.data.adjustments": set(),
    "rustybt.data.calendars": set(),
    "rustybt.legacy": {"rustybt.compat"},
}
#: Provider libraries, which only an adapter may bring along.
PROVIDERS = {"yfinance", "ccxt", "polygon", "massive", "alpaca", "alpha_vantage", "curl_cffi"}
#: Longer than 400 lines, and the reason.
LONG_FILES = {
    "rustybt.compat.bar_writers": "the daily and the minute writer, which keep to one contract",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> list[tuple[str, int]]:
    """Names of imported modules with their line, also of imports inside functions."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def room_of(module: str) -> tuple[int, str] | None:
    """Height and name of the room a module is in; None for those beside the rooms."""
    if module in DOORS:
        return None
    for height, rooms in enumerate(ROOMS):
        for room in rooms:
            if module == room or module.startswith(f"{room}."):
                return height, room
    return None


def test_every_module_is_in_a_room():
    homeless = {module_name(path) for path in FILES if room_of(module_name(path)) is None}
    assert homeless <= {*FRONT_DOORS, *DOORS}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_down(path):
    own = room_of(module_name(path))
    wrong = []
    for imported, line in imports(path):
        other = room_of(imported)
        if own is None or other is None or own[1] == other[1] or other[0] < own[0]:
            continue
        if other[0] == own[0] and other[1] in NEIGHBOURS.get(own[1], set()):
            continue
        wrong.append(f"{path}:{line} imports {imported}")
    assert wrong == []


@pytest.mark.parametrize("door", sorted(DOORS))
def test_a_door_is_one_import_out_of_legacy(door):
    (path,) = (path for path in FILES if module_name(path) == door)
    docstring, imported, exported = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(imported, ast.ImportFrom)
    assert imported.module.startswith("rustybt.legacy.")
    assert [alias.name for alias in imported.names] == ast.literal_eval(exported.value)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_nobody_goes_through_a_door(path):
    through = {name for name, _ in imports(path)} | {
        name.rpartition(".")[0] for name, _ in imports(path)
    }
    assert not through & DOORS


def importers(package: str) -> set[str]:
    found = set()
    for path in FILES:
        if any(name.split(".")[0] == package for name, _ in imports(path)):
            found.add(module_name(path))
    return found


def test_only_compat_and_the_command_line_import_zipline():
    assert {name.split(".")[1] for name in importers("zipline")} <= {"compat", "cli", "legacy"}


def test_in_the_core_only_calendars_imports_exchange_calendars():
    core = {name for name in importers("exchange_calendars") if name.startswith("rustybt.data")}
    assert core == {"rustybt.data.calendars"}


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_provider_is_imported_by_its_own_adapter_only(provider):
    assert all(name.startswith("rustybt.data.sources.") for name in importers(provider))


def public_modules() -> list[str]:
    names = [module_name(path) for path in FILES]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def literal_all(path: Path) -> list[str] | None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return None


EXPORTING = [path for path in FILES if literal_all(path) is not None]


@pytest.mark.parametrize("path", EXPORTING, ids=module_name)
def test_what_a_module_exports_is_there(path):
    exported = literal_all(path)
    assert exported == sorted(set(exported))
    module = importlib.import_module(module_name(path))
    for name in exported:
        assert getattr(module, name) is not None


def imported_for_others(path: Path) -> set[str]:
    """Names of this project that a module imports at its top, or would for a type checker."""
    body = ast.parse(path.read_text()).body
    for node in list(body):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            body += node.body
    found = [node for node in body if isinstance(node, ast.ImportFrom)]
    ours = [node for node in found if str(node.module).split(".")[0] == "rustybt"]
    return {alias.asname or alias.name for node in ours for alias in node.names}


@pytest.mark.parametrize("path", [p for p in EXPORTING if p.name == "__init__.py"], ids=module_name)
def test_a_package_exports_all_that_it_imports_for_others(path):
    private = {name for name in imported_for_others(path) if name.startswith("_")}
    assert imported_for_others(path) - private == set(literal_all(path))


@pytest.mark.parametrize("path", EXPORTING, ids=module_name)
def test_a_name_that_is_not_exported_is_an_attribute_error(path):
    module = importlib.import_module(module_name(path))
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


#: What an import brought along: modules, threads, and files below the zipline root.
REPORT = """
import json, os, sys, threading
{statement}
print(json.dumps({{
    "modules": sorted(sys.modules),
    "threads": threading.active_count(),
    "zipline root": os.path.exists(os.environ["ZIPLINE_ROOT"]),
}}))
"""


def after_importing(statement: str) -> dict[str, object]:
    """State of a fresh interpreter after an import that must print nothing and warn of nothing."""
    command = [sys.executable, "-W", "error::DeprecationWarning:rustybt", "-c"]
    done = subprocess.run(
        [*command, REPORT.format(statement=statement)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    report: dict[str, object] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("rustybt", {"zipline", "pandas", "polars", "exchange_calendars"}),
        ("rustybt.data", {"zipline", "pandas", "polars", "exchange_calendars"}),
        ("rustybt.data.bars", {"zipline", "pandas", "exchange_calendars"}),
        ("rustybt.data.sources", {"zipline", "pandas", "exchange_calendars", "httpx"}),
        ("rustybt.data.sources.adapters", {"zipline", "pandas", "exchange_calendars", "pytest"}),
        ("rustybt.data.sources.cached_source", {"zipline", "pandas"}),
        ("rustybt.data.sources.csv", {"zipline"}),
        ("rustybt.data.bundles", {"zipline"}),
        ("rustybt.data.bundles.ingest", {"zipline"}),
    ],
)
def test_an_import_brings_nothing_along_and_does_nothing(module, absent):
    report = after_importing(f"import {module}")
    loaded = {name.split(".")[0] for name in report.pop("modules")}
    assert loaded & (absent | PROVIDERS) == set()
    assert report == {"threads": 1, "zipline root": False}


def test_the_version_is_that_of_the_package():
    import rustybt

    assert rustybt.__version__[0].isdigit()
    assert set(rustybt.__all__) <= set(dir(rustybt))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_long_file_has_a_reason(path):
    lines = len(path.read_text().splitlines())
    assert lines <= 400 or module_name(path) in LONG_FILES


def test_no_reason_outlives_its_file():
    lengths = {module_name(path): len(path.read_text().splitlines()) for path in FILES}
    assert all(lengths.get(name, 0) > 400 for name in LONG_FILES)


def test_most_files_are_short():
    lengths = sorted(len(path.read_text().splitlines()) for path in FILES)
    assert lengths[len(lengths) // 2] < 150


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_nothing_happens_on_import(path):
    """At the top of a module there are definitions, and no calls for their effect."""
    for node in ast.parse(path.read_text()).body:
        bare = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        assert not bare, f"{path}:{node.lineno} does something on import"
        assert not isinstance(node, ast.For | ast.While | ast.With | ast.Delete)
