"""Files that survive a crash: flushed, checksummed, and renamed into place."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rustybt.data.errors import CorruptVersionError

if TYPE_CHECKING:
    import polars as pl

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_table(frame: "pl.DataFrame", path: Path) -> None:
    """Write a small table as Parquet.

    Raises
    ------
    OSError
        If there is no room: Polars itself raises an error of its own, which says so in words only.
    """
    content = io.BytesIO()
    frame.write_parquet(content, compression_level=1)  # digests do not shrink, whatever the level
    path.write_bytes(content.getbuffer())


def sync(path: Path) -> None:
    """Flush a file or a directory to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _members(directory: Path, leave_out: frozenset[str]) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        top = path.relative_to(directory).parts[0]
        if path.is_file() and top not in leave_out and path.name != MANIFEST:
            yield path


def _stamp(path: Path | str) -> list[int]:
    status = os.stat(path)  # noqa: PTH116  of every file, and four times as fast
    return [status.st_size, status.st_mtime_ns]


def seal(
    directory: Path,
    leave_out: frozenset[str] = frozenset(),
    linked: Mapping[str, dict[str, Any]] = MappingProxyType({}),
) -> None:
    """Checksum every file below a directory into its manifest, and flush all to the disk.

    Parameters
    ----------
    leave_out : frozenset of str
        Names of entries of the directory that have manifests of their own.
    linked : mapping of str to dict
        Entries of another manifest, for files that are links to files that it holds.
    """
    entries = {}
    folders = {directory}
    for path in _members(directory, leave_out):
        folders.add(path.parent)
        name = path.relative_to(directory).as_posix()
        if name in linked and linked[name]["stamp"] == _stamp(path):
            entries[name] = linked[name]
            continue
        sync(path)
        entries[name] = {"sha256": sha256(path), "stamp": _stamp(path)}
    manifest = directory / MANIFEST
    manifest.write_text(json.dumps({"files": entries, "sha256": _digest(entries)}, indent=1))
    sync(manifest)
    for folder in folders:
        sync(folder)


def _digest(entries: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _entries(directory: Path) -> dict[str, Any]:
    manifest = directory / MANIFEST
    try:
        return _told(manifest.read_text())
    except FileNotFoundError:
        raise CorruptVersionError(f"{manifest} is missing: this is no complete version") from None
    except (ValueError, KeyError, TypeError):
        raise CorruptVersionError(f"{manifest} is damaged: it is not what was written") from None


@lru_cache(maxsize=16)
def _told(text: str) -> dict[str, Any]:
    """The entries in the text of a manifest, only to be read; ValueError if it is damaged."""
    content = json.loads(text)
    entries: dict[str, Any] = content["files"]
    if content["sha256"] != _digest(entries):
        raise ValueError("another checksum")
    return entries


def digest(directory: Path) -> str:
    """SHA-256 over the names and checksums of the files that were sealed in a directory.

    Raises
    ------
    CorruptVersionError
        If the manifest is missing or damaged.
    """
    sums = {name: entry["sha256"] for name, entry in _entries(directory).items()}
    return _digest(sums)


@dataclass(frozen=True)
class Sealed:
    """What a file was when it was sealed.

    Attributes
    ----------
    sha256 : str
    size : int
        Bytes.
    modified : int
        Nanoseconds since 1970.
    """

    sha256: str
    size: int
    modified: int


def sealed(directory: Path) -> dict[str, Sealed]:
    """The files that were sealed in a directory, by their names relative to it.

    Raises
    ------
    CorruptVersionError
        If the manifest is missing or damaged.
    """
    entries = _entries(directory).items()
    return {name: Sealed(entry["sha256"], *entry["stamp"]) for name, entry in entries}


def is_as_sealed(path: Path, was: Sealed) -> bool:
    """Whether a file is there and has the bytes that were recorded."""
    return path.is_file() and path.stat().st_size == was.size and sha256(path) == was.sha256


def damage(directory: Path, digest_of: Callable[[Path], str] = sha256) -> dict[str, str]:
    """What is wrong with the files that were sealed, every byte compared: name -> sentence.

    Parameters
    ----------
    digest_of : callable
        Hashes a file; see `each_once`.
    """
    try:
        entries = _entries(directory)
    except CorruptVersionError as error:
        return {MANIFEST: str(error)}
    found = {}
    for name, entry in entries.items():
        try:
            _check_file(directory / name, entry, True, digest_of)
        except CorruptVersionError as error:
            found[name] = str(error)
    return found


def each_once() -> Callable[[Path], str]:
    """What hashes files, one that lies in several directories a single time."""
    known: dict[tuple[int, int], str] = {}

    def digest_of(path: Path) -> str:
        status = path.stat()
        inode = status.st_dev, status.st_ino
        if inode not in known:
            known[inode] = sha256(path)
        return known[inode]

    return digest_of


def names(directory: Path) -> list[str]:
    """Names of the files that were sealed in a directory, relative to it, sorted.

    Raises
    ------
    CorruptVersionError
        If the manifest is missing or damaged.
    """
    return sorted(_entries(directory))


def check(directory: Path, *, every_byte: bool = False) -> None:
    """Raise unless the files of a directory are those that were sealed.

    A file whose size and modification time are as they were sealed is taken as unchanged; one
    that was touched or copied since is hashed. `every_byte` hashes all of them.

    Raises
    ------
    CorruptVersionError
        Naming the first file that is missing or damaged.
    """
    for name, entry in _entries(directory).items():
        _check_file(f"{directory}/{name}", entry, every_byte)


class Manifest:
    """The files that were sealed in a directory, after `check` looked at every byte of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._entries = _entries(directory)

    def path(self, name: str) -> Path:
        """Path of a file that was not touched since.

        Raises
        ------
        CorruptVersionError
            If it is missing or damaged.
        """
        _check_file(self._directory / name, self.entry(name), every_byte=False)
        return self._directory / name

    def entry(self, name: str) -> dict[str, Any]:
        """What the manifest says of a file; raises as `path` does."""
        return _entry(self._entries, self._directory, name)


def _entry(entries: dict[str, Any], directory: Path, name: str) -> dict[str, Any]:
    if name not in entries:
        raise CorruptVersionError(f"{directory / name} is missing: it was never written")
    found: dict[str, Any] = entries[name]
    return found


def check_file(directory: Path, name: str) -> Path:
    """Path of one sealed file, every byte of which was checked.

    Raises
    ------
    CorruptVersionError
        If it is missing or damaged.
    """
    entry = _entry(_entries(directory), directory, name)
    _check_file(directory / name, entry, every_byte=True)
    return directory / name


def _check_file(
    path: Path | str,
    entry: dict[str, Any],
    every_byte: bool,
    digest_of: Callable[[Path], str] = sha256,
) -> None:
    try:
        stamp = _stamp(path)
    except FileNotFoundError:
        raise CorruptVersionError(f"{path} is missing") from None
    size = entry["stamp"][0]
    if stamp[0] != size:
        raise CorruptVersionError(f"{path} is damaged: {stamp[0]} bytes instead of {size}")
    if (every_byte or stamp != entry["stamp"]) and digest_of(Path(path)) != entry["sha256"]:
        raise CorruptVersionError(f"{path} is damaged: its checksum is not the one written")
