"""Enabling changes one line of one file, and the names in one table."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import zipline.__main__  # noqa: F401  with every module that the command line loads
from zipline.data.bundles import core

from rustybt.compat import install


def _zipline_names() -> dict[tuple[str, str], int]:
    """The identity of everything that zipline's modules and classes hold."""
    found = {}
    for module_name, module in list(sys.modules.items()):
        if not module_name.startswith("zipline") or not isinstance(module, ModuleType):
            continue
        for name, value in vars(module).items():
            found[module_name, name] = id(value)
            if isinstance(value, type) and value.__module__ == module_name:
                found.update(
                    ((module_name, f"{name}.{own}"), id(attribute))
                    for own, attribute in vars(value).items()
                )
    return found


@pytest.fixture
def active() -> Iterator[None]:
    install.activate()
    yield
    install.deactivate()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"x = 1\n",
        b"x = 1",
        b"# caf\xe9, in latin-1\r\nx = 1\r\n",
        b"from __future__ import annotations\n",
    ],
)
def test_disable_gives_the_file_its_bytes_back(zipline_root: Path, content: bytes | None) -> None:
    path = zipline_root / "extension.py"
    zipline_root.mkdir()
    if content is not None:
        path.write_bytes(content)
    assert install.enable()
    assert install.status().enabled
    assert not install.enable(), "a second time changes nothing"
    assert install.disable()
    assert not install.disable()
    assert (path.read_bytes() if path.exists() else None) == content


def test_what_is_written_after_enabling_stays(zipline_root: Path) -> None:
    install.enable()
    path = zipline_root / "extension.py"
    path.write_bytes(path.read_bytes() + b"y = 2\n")
    install.disable()
    assert path.read_bytes() == b"y = 2\n"


def test_only_the_names_of_the_table_are_replaced() -> None:
    before = _zipline_names()
    install.activate()
    during = _zipline_names()
    install.deactivate()
    changed = {key for key in before if before[key] != during.get(key)}
    replaced = {(module, name) for module, name, _, _ in install.replacements()}
    # The attributes of a class that another one stands in for are not found under its name.
    hidden = {
        (module, name) for module, name in changed if (module, name.split(".")[0]) in replaced
    }
    assert {key for key in changed if "." not in key[1]} == replaced
    assert changed == hidden
    assert _zipline_names() == before


def test_activating_twice_is_activating_once() -> None:
    original = core.ingest
    install.activate()
    install.activate()
    assert core.ingest is not original
    install.deactivate()
    assert core.ingest is original


def test_bundles_of_a_source_are_listed(active: None) -> None:
    assert set(core.bundles) >= {"csvdir", "quandl"}
