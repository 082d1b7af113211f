"""The checks of ``rustybt doctor`` that need no algorithm."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

State = Literal["good", "note", "wrong"]

_MARKS = {"good": "ok", "note": "--", "wrong": "!!"}


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes
    ----------
    name : str
    state : {"good", "note", "wrong"}
    text : str
        With what to do, where something is to be done.
    """

    name: str
    state: State
    text: str

    @property
    def mark(self) -> str:
        """Two characters for a person."""
        return _MARKS[self.state]

    def to_dict(self) -> dict[str, Any]:
        """The check as plain JSON values."""
        return asdict(self)


def of_machine() -> Iterator[Check]:
    """All checks of this machine."""
    try:
        yield _root()
        yield from _permissions()
    except PermissionError as error:
        yield Check("root", "wrong", f"{error.filename} cannot be read: {error.strerror}")
        return
    yield from _locks()
    yield from _leftovers()
    yield from _progress()
    yield _old_catalogs()
    yield _extension()
    yield from _sources()
    yield _calendars()


def _root() -> Check:
    from rustybt.cli._output import count
    from rustybt.data.bundles.storage import bundles_root, list_bundles

    root = bundles_root()
    existing = root
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    obstacle = _obstacle(existing)
    if obstacle is not None:
        why = f"{existing} cannot be written to ({obstacle})"
        hint = "bundles there can be read" if root.is_dir() else "nothing can be ingested"
        text = f"{why}: {hint}. Set ZIPLINE_ROOT to another folder, or change its permissions"
        return Check("root", "wrong", text)
    if not root.exists():
        return Check("root", "note", f"{root} is not there yet: the first ingest makes it")
    return Check("root", "good", f"{root}, {count(len(list_bundles()), 'bundle')}")


def _obstacle(directory: Path) -> str | None:
    """Why no file can be made in a directory; permissions do not tell it of every file system."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=directory):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _permissions() -> Iterator[Check]:
    for directory in _bundle_directories():
        if not os.access(directory, os.R_OK | os.X_OK):
            yield Check("permissions", "wrong", f"{directory} cannot be read")
        elif not os.access(directory, os.W_OK | os.X_OK):
            text = f"{directory} cannot be written to: it can be read, and not be ingested into"
            yield Check("permissions", "note", text)


def _locks() -> Iterator[Check]:
    from rustybt.data.bundles._locks import DIRECTORY, Holder, age
    from rustybt.data.bundles.storage import bundles_root

    for path in sorted((bundles_root() / DIRECTORY).glob("*.holder")):
        holder = Holder.read(path)
        if holder is None:
            yield Check("lock", "note", f"{path} is torn; the next writer replaces it")
        elif holder.is_gone:
            yield Check(
                "lock", "note", f"{path.stem}: stale, {holder} is gone; the next writer takes over"
            )
        elif not holder.is_here:
            text = f"held by {holder}, another machine, and touched {age(path):.0f} seconds ago"
            yield Check("lock", "note", f"{path.stem}: {text}")
        else:
            yield Check("lock", "note", f"{path.stem}: held by {holder}")


def _bundle_directories() -> list[Path]:
    from rustybt.data.bundles.storage import bundles_root

    root = bundles_root()
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _leftovers() -> Iterator[Check]:
    for directory in _bundle_directories():
        for path in sorted(directory.glob(".tmp-*")):
            text = f"{path} was left by a writer that was killed; the next ingest removes it"
            yield Check("leftover", "note", text)


def _progress() -> Iterator[Check]:
    from rustybt.cli._output import count
    from rustybt.data.bundles._progress import kept_symbols
    from rustybt.data.bundles.storage import bundles_root

    root = bundles_root() / ".progress"
    for directory in sorted(root.iterdir()) if root.is_dir() else []:
        name = unquote(directory.name)
        text = f"an ingest of {name} was interrupted after {count(kept_symbols(name), 'symbol')}; "
        yield Check("interrupted", "note", f"{text}the same command goes on from there")


def _old_catalogs() -> Check:
    from rustybt.data.bundles.storage import bundles_root
    from rustybt.legacy.migration import make_plan

    plan = make_plan(bundles_root().parent, Path("~/.rustybt/cache").expanduser())
    if not plan.items:
        return Check("old catalogs", "good", "none is waiting to be migrated")
    text = f"{len(plan.items)} old bundles wait: python scripts/migrate_catalog_to_unified.py"
    return Check("old catalogs", "note", f"{text} --validate")


def _extension() -> Check:
    from rustybt.compat import install

    found = install.status()
    if found.enabled:
        return Check("zipline", "good", f"its own commands use rustybt, by {found.extension}")
    return Check("zipline", "note", "its own commands do not use rustybt (rustybt zipline enable)")


def _sources() -> Iterator[Check]:
    from rustybt.data.sources.registry import DataSourceRegistry

    for name in DataSourceRegistry.list_sources():
        info = DataSourceRegistry.get_source_info(name)
        if not info.installed:
            yield Check(f"source {name}", "note", f"not installed: {info.install_hint}")
            continue
        wanted = DataSourceRegistry.get_class(name).environment_variables
        missing = [variable for variable in wanted if not os.environ.get(variable)]
        if missing:
            yield Check(f"source {name}", "note", f"installed; {', '.join(missing)} not set")
        else:
            keys = "its keys are set" if wanted else "needs no key"
            yield Check(f"source {name}", "good", f"installed; {keys}")


def _calendars() -> Check:
    from rustybt.data.bundles.bundle import open_bundle
    from rustybt.data.bundles.storage import list_bundles
    from rustybt.data.calendars import calendar_version
    from rustybt.data.errors import CorruptVersionError

    current, other, damaged = calendar_version(), [], []
    for name in list_bundles():
        try:
            record = open_bundle(name).metadata
        except CorruptVersionError:
            damaged.append(name)
            continue
        if record.calendar_version not in ("", current):
            other.append(f"{name} ({record.calendar_version})")
    if damaged:
        names = ", ".join(damaged)
        return Check("bundles", "wrong", f"{names} damaged: rustybt bundles verify says what")
    if other:
        text = f"exchange_calendars {current}; ingested with another one: {', '.join(other)}"
        return Check("calendars", "note", text)
    return Check("calendars", "good", f"exchange_calendars {current}")
