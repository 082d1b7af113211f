"""Where bundles lie, and how a version comes to be: written aside, then renamed into place.

``<zipline root>/rustybt/<bundle>/<ingest time>/`` is a version. It never changes once it is
there. What can be derived from it (``panel/``, ``zipline/``) is kept beside its files with a
manifest of its own and is rebuilt when it is missing or damaged.
"""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from rustybt.data.bundles import _derived, _files
from rustybt.data.bundles._locks import Claim, locked
from rustybt.data.calendars import to_instant
from rustybt.data.errors import (
    BundleNameError,
    CorruptVersionError,
    PinnedVersionError,
    UnknownBundleError,
)

#: Entries of a version that are derived from the others.
DERIVED = frozenset({"panel", "zipline"})
TEMPORARY = _derived.TEMPORARY
_PINS = ".pins"
#: Bytes of an encoded name: file systems allow 255, less the ending of a lock's.
_LONGEST = 240
#: Stands in a version that is written in place, until it is complete.
_INCOMPLETE = ".incomplete"


def bundles_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The directory of all bundles: ``rustybt`` in ``$ZIPLINE_ROOT``, else in ``~/.zipline``."""
    root = environ.get("ZIPLINE_ROOT") or "~/.zipline"
    return Path(root).expanduser() / "rustybt"


def encode_name(name: str) -> str:
    """The directory name of a bundle: percent-encoded where a file system could mind.

    Raises
    ------
    BundleNameError
        If the name is empty, not printable, begins with a dot, or holds a path separator.
    """
    if not name or not name.isprintable() or name.startswith(".") or "/" in name or "\\" in name:
        raise BundleNameError(
            f"{name!r} cannot name a bundle: use printable text without / and \\ that does not "
            "begin with a dot"
        )
    encoded = quote(name, safe=" !#$&'()+,;=@[]{}~")
    if len(encoded) > _LONGEST:
        raise BundleNameError(f"the bundle name {name[:40]!r}... is too long for a file name")
    return encoded


def version_name(timestamp: datetime) -> str:
    """The directory name of a version: its ingest time, with ';' for ':', as zipline names its."""
    return timestamp.astimezone(UTC).replace(tzinfo=None).isoformat().replace(":", ";")


def version_time(name: str) -> datetime:
    """The ingest time (UTC) in the directory name of a version."""
    return datetime.fromisoformat(name.replace(";", ":")).replace(tzinfo=UTC)


@dataclass(frozen=True)
class Version:
    """One ingestion of a bundle: a directory of files that never change.

    Attributes
    ----------
    bundle : str
        Name of the bundle.
    path : pathlib.Path
        Its directory.
    """

    bundle: str
    path: Path

    @property
    def timestamp(self) -> datetime:
        """When it was ingested, UTC."""
        return version_time(self.path.name)

    def check(self, *, every_byte: bool = False) -> None:
        """Raise `CorruptVersionError` unless its files are those that were written."""
        _files.check(self.path, every_byte=every_byte)

    def derived(self, name: str, build: Callable[[Path], None]) -> Path:
        """The directory of something derived, built now if it is missing or damaged.

        Parameters
        ----------
        name : str
            Below the version: ``panel/daily``, ``zipline``, ...
        build : callable
            Writes the content into the empty directory that it is given.

        Notes
        -----
        Where the version cannot be written to, the content goes to a temporary directory that
        lives as long as the process.
        """
        target = self.path / name
        return _derived.derived(target, self.path / f".{name.replace('/', '-')}.lock", build)


def bundle_path(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The directory of a bundle, whether it exists or not."""
    return bundles_root(environ) / encode_name(name)


def list_bundles(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Names of all bundles that have a version, sorted."""
    root = bundles_root(environ)
    if not root.is_dir():
        return []
    names = [_bundle_name(path) for path in root.iterdir() if path.is_dir()]
    return sorted(name for name in names if name is not None and versions(name, environ))


def _bundle_name(directory: Path) -> str | None:
    """The name that is encoded in a directory's, or None if `encode_name` did not write it."""
    name = unquote(directory.name)
    try:
        return name if encode_name(name) == directory.name else None
    except BundleNameError:
        return None


def versions(name: str, environ: Mapping[str, str] = os.environ) -> list[Version]:
    """All versions of a bundle, the newest first."""
    directory = bundle_path(name, environ)
    return _versions_in(directory, name) if directory.is_dir() else []


def before(version: Version) -> list[Version]:
    """The earlier versions of the same bundle, the newest first."""
    return [
        each
        for each in _versions_in(version.path.parent, version.bundle)
        if each.timestamp < version.timestamp
    ]


def _versions_in(directory: Path, name: str) -> list[Version]:
    found = [
        Version(name, path) for path in directory.iterdir() if path.is_dir() and _is_version(path)
    ]
    return sorted(found, key=lambda version: version.timestamp, reverse=True)


def _is_version(directory: Path) -> bool:
    try:
        named = version_name(version_time(directory.name)) == directory.name
    except ValueError:
        return False
    return named and not (directory / _INCOMPLETE).exists()


def find_version(
    name: str, timestamp: object = None, environ: Mapping[str, str] = os.environ
) -> Version:
    """The newest version of a bundle that was ingested at or before `timestamp`.

    Raises
    ------
    UnknownBundleError
        If the bundle has none.
    CorruptVersionError
        If a file of that version is missing or damaged.
    """
    candidates = versions(name, environ)
    if not candidates:
        known = list_bundles(environ)
        hint = f"there are: {', '.join(known)}" if known else "none was ingested yet"
        raise UnknownBundleError(
            f"there is no bundle {name!r} in {bundles_root(environ)}; {hint}. "
            f"To make it: rustybt ingest SOURCE --bundle {name}"
        )
    moment = to_instant(timestamp) if timestamp is not None else None
    for version in candidates:
        if moment is None or version.timestamp <= moment:
            require_sound(version)
            return version
    raise UnknownBundleError(
        f"bundle {name!r} has no version of {moment} or before; the oldest is of "
        f"{candidates[-1].timestamp}"
    )


def require_sound(version: Version) -> None:
    """Raise `CorruptVersionError`, which says what to do, if a version is damaged."""
    try:
        version.check()
    except CorruptVersionError as error:
        hint = f"to put it right: rustybt bundles repair {shlex.quote(version.bundle)}"
        raise CorruptVersionError(f"{error}; {hint}") from None


@dataclass(frozen=True)
class Draft:
    """A version that is being written.

    Attributes
    ----------
    path : pathlib.Path
        The temporary directory to write into.
    version : Version
        What it will be once it is published.
    parent : Version or None
        The newest version before it.
    linked : dict of str to dict
        Files that are links to those of another version: name -> entry of its manifest.
    """

    path: Path
    version: Version
    parent: Version | None
    linked: dict[str, dict[str, Any]] = field(default_factory=dict)


@contextmanager
def new_version(
    name: str,
    timestamp: object = None,
    environ: Mapping[str, str] = os.environ,
    *,
    in_place: bool = False,
) -> Iterator[Draft]:
    """Write a new version of a bundle.

    The body writes into ``draft.path``. When it ends, everything is checksummed, flushed and
    published in one step; when it raises, nothing of it stays. Whatever a killed writer left is
    removed first.

    Parameters
    ----------
    in_place : bool
        Write into the final directory, which is no version until a marker in it is removed,
        instead of renaming a temporary one. For an ingest function of zipline's kind, which is
        told the final directory and may write there itself.

    Raises
    ------
    BundleLockedError
        If another process is writing this bundle.
    """
    directory = bundle_path(name, environ)
    with writing(name, environ) as claim:
        directory.mkdir(parents=True, exist_ok=True)
        present = versions(name, environ)
        _remove_leftovers(directory, present)
        final = _free_name(directory, _moment(timestamp, present))
        draft = _begin_in_place(final) if in_place else _begin_aside(final)
        try:
            begun = Draft(draft, Version(name, final), present[0] if present else None)
            yield begun
            _files.seal(draft, DERIVED | {_INCOMPLETE}, begun.linked)
            claim.require()
            if in_place:
                (draft / _INCOMPLETE).unlink()
                _files.sync(draft)
            else:
                draft.rename(final)
            _files.sync(directory)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            if in_place:
                # zipline too lists an ingestion that failed.
                _begin_in_place(final)
            elif not any(directory.iterdir()):
                directory.rmdir()
            raise


def _begin_aside(final: Path) -> Path:
    aside = final.with_name(f"{TEMPORARY}{final.name}")
    aside.mkdir()
    return aside


def _begin_in_place(final: Path) -> Path:
    """The final directory, which has its marker from the moment that it is there."""
    aside = _begin_aside(final)
    (aside / _INCOMPLETE).touch()
    return aside.rename(final)


def remove_leftovers(name: str, environ: Mapping[str, str] = os.environ) -> None:
    """Remove what a killed writer of a bundle left.

    Raises
    ------
    BundleLockedError
        If another process is writing this bundle.
    """
    directory = bundle_path(name, environ)
    if directory.is_dir():
        with writing(name, environ):
            _remove_leftovers(directory, versions(name, environ))


def _remove_leftovers(directory: Path, present: list[Version]) -> None:
    for path in list(directory.iterdir()):
        aside = path.name.startswith(TEMPORARY)
        husk = not aside and (path / _INCOMPLETE).exists()
        if aside or husk:
            shutil.rmtree(path)
        if husk and not (present and version_time(path.name) < present[0].timestamp):
            _begin_in_place(path)


@contextmanager
def writing(name: str, environ: Mapping[str, str] = os.environ) -> Iterator[Claim]:
    """Keep other writers from a bundle while the body runs; readers need no lock.

    Raises
    ------
    BundleLockedError
        If another process is writing it.
    """
    with locked(bundle_path(name, environ), f"bundle {name!r} is being written") as claim:
        yield claim


def pin_of(version: Version) -> Path:
    """The file that pins a version while it is there."""
    return version.path.parent / _PINS / version.path.name


def is_pinned(version: Version) -> bool:
    """Whether a version must not be cleaned."""
    return pin_of(version).exists()


def _moment(timestamp: object, present: list[Version]) -> datetime:
    """The ingest time asked for, or now; after the newest version, if the clock was set back."""
    if timestamp is not None:
        return to_instant(timestamp)
    now = datetime.now(UTC)
    return max(now, present[0].timestamp + timedelta(microseconds=1)) if present else now


def _free_name(directory: Path, timestamp: datetime) -> Path:
    path = directory / version_name(timestamp)
    while path.exists():
        timestamp += timedelta(microseconds=1)
        path = directory / version_name(timestamp)
    return path


def remove(version: Version) -> None:
    """Delete a version. Readers that hold it open keep what they have mapped.

    Raises
    ------
    PinnedVersionError
        If it is pinned.
    """
    if is_pinned(version):
        raise PinnedVersionError(
            f"version {version.path.name} of bundle {version.bundle!r} is pinned; unpin it first"
        )
    doomed = version.path.with_name(f"{TEMPORARY}removed-{version.path.name}")
    version.path.rename(doomed)
    shutil.rmtree(doomed)


def read_file(version: Version, name: str) -> Path:
    """Path of one file of a version, every byte of which was checked.

    Raises
    ------
    CorruptVersionError
        If it is missing or damaged.
    """
    return _files.check_file(version.path, name)
