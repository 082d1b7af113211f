"""Where old catalogs and old data lie below a root. Only looks; reads nothing."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from rustybt.legacy.migration._facts import Problem

#: `<root>/assets-<N>.db`, the global catalog of the releases up to 0.3.
CATALOGS = tuple(f"assets-{version}.db" for version in (8, 9, 10))
_BARS = {"daily_bars": "daily", "minute_bars": "minute"}


@dataclass(frozen=True)
class Home:
    """What lies about one bundle, in one place or two.

    Attributes
    ----------
    name : str
    directories : tuple of pathlib.Path
    databases : tuple of pathlib.Path
        Its ``metadata.db``, and the one that lies beside it where its name holds a ``?``.
    bars : mapping of str to tuple of pathlib.Path
        Parquet files of ``daily`` and ``minute``.
    """

    name: str
    directories: tuple[Path, ...] = ()
    databases: tuple[Path, ...] = ()
    bars: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """Everything old below a root.

    Attributes
    ----------
    root : pathlib.Path
    catalogs : tuple of pathlib.Path
    homes : mapping of str to Home
    ingestions : tuple of (str, pathlib.Path)
        Bundle and directory of each ingestion in zipline's own format.
    caches : tuple of pathlib.Path
        Files of the old caches.
    problems : tuple of Problem
    """

    root: Path
    catalogs: tuple[Path, ...]
    homes: Mapping[str, Home]
    ingestions: tuple[tuple[str, Path], ...]
    caches: tuple[Path, ...]
    problems: tuple[Problem, ...] = ()


def discover(root: Path, cache: Path) -> Found:
    """Look for old catalogs, bundles and caches.

    Parameters
    ----------
    root : pathlib.Path
        ``$ZIPLINE_ROOT``.
    cache : pathlib.Path
        ``~/.rustybt/cache`` of the releases up to 0.3.
    """
    problems: list[Problem] = []
    data, bundles = root / "data", root / "data" / "bundles"
    homes: dict[str, Home] = {}
    for place in (bundles, data):
        for directory in _directories(place, problems):
            if directory == bundles:
                continue
            home = _home(directory)
            if home is None and place == bundles:
                nested = _below(directory, bundles)
                homes.update({each.name: each for each in nested})
                home = None if nested else Home(directory.name, (directory,))
            if home is not None:
                homes[home.name] = _joined(homes.get(home.name), home)
    ingestions = [
        (directory.name, each)
        for directory in _directories(data, [])
        if directory != bundles and not directory.name.startswith(".")
        for each in _directories(directory, problems)
        if ingest_time(each.name) is not None
    ]
    caches = [*cache.glob("cache_*/data.parquet")]
    caches += [path for home in homes.values() for path in _glob(home, "cache/*.parquet")]
    catalogs = tuple(root / name for name in CATALOGS if (root / name).is_file())
    ordered = {name: homes[name] for name in sorted(homes)}
    return Found(root, catalogs, ordered, tuple(ingestions), tuple(sorted(caches)), tuple(problems))


def _directories(place: Path, problems: list[Problem]) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(Problem(place, f"cannot be listed: {error.strerror}"))
        return []


def _glob(home: Home, pattern: str) -> Iterator[Path]:
    for directory in home.directories:
        yield from sorted(directory.glob(pattern))


def _home(directory: Path) -> Home | None:
    """What one directory holds of a bundle; None if it is no bundle of Parquet files."""
    databases = [directory / "metadata.db"]
    cut, options, _ = directory.name.partition("?")
    if cut and options:
        # SQLAlchemy took what followed for options of the connection.
        databases.append(directory.with_name(cut))
    present = tuple(path for path in databases if path.is_file())
    kinds = {kind: directory / folder for folder, kind in _BARS.items()}
    if not present and not any(folder.is_dir() for folder in kinds.values()):
        return None
    bars = {kind: _parquet_files(folder) for kind, folder in kinds.items()}
    return Home(directory.name, (directory,), present, bars)


def _parquet_files(folder: Path) -> tuple[Path, ...]:
    """All below a folder, also in partitions that are links to another disk."""
    walked = os.walk(folder, followlinks=True)
    found = [Path(place, name) for place, _, names in walked for name in names]
    return tuple(sorted(path for path in found if path.suffix == ".parquet"))


def _below(directory: Path, bundles: Path) -> list[Home]:
    """Bundles whose names have a slash, and which therefore lie deeper."""
    signs = ("metadata.db", *_BARS)
    places = sorted({path.parent for sign in signs for path in directory.rglob(sign)})
    homes = [home for place in places if (home := _home(place)) is not None]
    return [replace(home, name=str(home.directories[0].relative_to(bundles))) for home in homes]


def _joined(known: Home | None, home: Home) -> Home:
    if known is None:
        return home
    bars = {kind: (*known.bars.get(kind, ()), *home.bars.get(kind, ())) for kind in _BARS.values()}
    return Home(
        home.name,
        (*known.directories, *home.directories),
        (*known.databases, *home.databases),
        bars,
    )


def ingest_time(name: str) -> datetime | None:
    """The time in the name of an ingestion's directory, naive UTC; None if it is no such name."""
    if not re.match(r"\d{4}-\d\d-\d\dT", name):
        return None
    try:
        return datetime.fromisoformat(name.replace(";", ":"))
    except ValueError:
        return None
