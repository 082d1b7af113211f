"""Files that survive a crash: flushed, checksummed, and renamed into place."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from rustybt.data.errors import CorruptVersionError

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def seal(directory: Path, leave_out: frozenset[str] = frozenset()) -> None:
    """Checksum every file below a directory into its manifest, and flush all to the disk.

    Parameters
    ----------
    leave_out : frozenset of str
        Names of entries of the directory that have manifests of their own.
    """
    entries = {}
    folders = {directory}
    for path in _members(directory, leave_out):
        sync(path)
        folders.add(path.parent)
        name = path.relative_to(directory).as_posix()
        entries[name] = {"sha256": sha256(path), "stamp": _stamp(path)}
    manifest = directory / MANIFEST
    manifest.write_text(json.dumps(entries, indent=1, sort_keys=True))
    sync(manifest)
    for folder in folders:
        sync(folder)


def check(directory: Path, *, every_byte: bool = False) -> None:
    """Raise unless the files of a directory are those that were sealed.

    A file whose size and modification time are as they were sealed is taken as unchanged; one
    that was touched or copied since is hashed. `every_byte` hashes all of them.

    Raises
    ------
    CorruptVersionError
        Naming the first file that is missing or damaged.
    """
    for damage in damages(directory, every_byte=every_byte):
        raise CorruptVersionError(damage)


def damages(directory: Path, *, every_byte: bool = False) -> Iterator[str]:
    """Say what is wrong with the files of a sealed directory, one sentence a file."""
    manifest = directory / MANIFEST
    try:
        entries = json.loads(manifest.read_text())
    except FileNotFoundError:
        yield f"{directory} has no {MANIFEST}: it is not a complete version"
        return
    except ValueError:
        yield f"{manifest} is damaged: it is not the JSON that was written"
        return
    for name, entry in entries.items():
        path = directory / name
        try:
            stamp = _stamp(path)
        except FileNotFoundError:
            yield f"{path} is missing"
            continue
        if stamp[0] != entry["stamp"][0]:
            yield f"{path} is damaged: {stamp[0]} bytes instead of {entry['stamp'][0]}"
        elif (every_byte or stamp != entry["stamp"]) and sha256(path) != entry["sha256"]:
            yield f"{path} is damaged: its checksum is not the one that was written"


def size_of(directory: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
