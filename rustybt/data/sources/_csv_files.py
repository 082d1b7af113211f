"""Files of bars on disk: which there are, whose bars they hold, and their bytes."""

import bz2
import gzip
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from rustybt.data.bars import DAILY, MINUTE, Frequency
from rustybt.data.errors import BarSchemaError, SourceFileError


class Readable(Protocol):
    """An open file, as far as it is needed here."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes; all that are left when no size is given."""


_TABLES = (".csv", ".tsv", ".txt")
_PACKINGS = (".gz", ".bz2", ".xz", ".zst", ".zip")

#: Names of the files of events, which hold no bars.
EVENT_FILES = ("splits", "dividends")

#: What the decompressors raise at a damaged or encrypted file.
_UNREADABLE = (OSError, EOFError, RuntimeError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)

#: Folders of zipline's csvdir bundle, https://zipline.ml4trading.io/bundles.html
CSVDIR = {"daily": DAILY, "minute": MINUTE}


def stem(name: str) -> str | None:
    """A file's name without the endings of a (compressed) table; None if it has none of them.

    Only known endings are taken off: ``BRK.B.csv.gz`` is ``BRK.B``.
    """
    inner, ending = os.path.splitext(name)  # noqa: PTH122  of thousands, time and again
    if ending.lower() not in _PACKINGS:
        inner = name
    bare, table = os.path.splitext(inner)  # noqa: PTH122
    if table.lower() in _TABLES:
        return bare
    return inner if ending.lower() == ".zip" else None


def _file_names(folder: Path) -> list[str]:
    """Names of the files in a folder, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_file())


def bar_files(folder: Path) -> dict[str, Path]:
    """Stem -> file, of every file of bars in a folder, sorted.

    Raises
    ------
    SourceFileError
        If there is none, two files have one stem, or a name is not text.
    """
    found: dict[str, Path] = {}
    for each in _file_names(folder):
        name = stem(each)
        if not name or name.lower() in EVENT_FILES or name[0] in ".~":
            continue
        if not name.isascii():
            _require_text(folder, each)
        if name in found:
            raise SourceFileError(
                f"{folder}: {found[name].name} and {each} both hold {name}; keep one of them"
            )
        found[name] = folder / each
    if not found:
        wanted = ", ".join(f"*{suffix}" for suffix in _TABLES)
        raise SourceFileError(f"{folder} has no bars: there is no {wanted}, compressed or not")
    return found


def _require_text(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise SourceFileError(
            f"{folder}: the name of the file {os.fsencode(name)!r} is not UTF-8, and tells no "
            "symbol; give it another one"
        ) from error


def event_files(folder: Path) -> dict[str, Path]:
    """Kind -> file, of the files of ``splits`` and ``dividends`` in a folder.

    Raises
    ------
    SourceFileError
        If there are two of a kind.
    """
    found: dict[str, Path] = {}
    for name in sorted(os.listdir(folder)):  # noqa: PTH208
        kind = (stem(name) or "").lower() if name.lower().startswith(EVENT_FILES) else ""
        if kind in found:
            raise SourceFileError(f"{folder}: {found[kind].name} and {name} both hold {kind}")
        if kind in EVENT_FILES:
            found[kind] = folder / name
    return found


def csvdir_folders(path: Path) -> dict[Frequency, Path]:
    """Frequency -> folder, of the folders that make `path` a csvdir; empty if it is none.

    Raises
    ------
    SourceFileError
        If bars stand beside those folders: which of them are meant cannot be known.
    """
    if not path.is_dir():
        return {}
    found = {freq: path / name for name, freq in CSVDIR.items() if (path / name).is_dir()}
    if not found:
        return {}
    beside = [
        name for name in _file_names(path) if (stem(name) or "").lower() not in ("", *EVENT_FILES)
    ]
    if beside:
        folders = " and ".join(f"{folder.name}/" for folder in found.values())
        raise SourceFileError(
            f"{path} has {folders} and bars beside them ({min(beside)}): name the folder or the "
            "file that you mean"
        )
    return found


def read_file(path: Path, file: str, limit: int = -1) -> bytes:
    """The text of a file, decompressed, as UTF-8 without a byte order mark.

    The packing is told by its first bytes, whatever the name ends in.

    Parameters
    ----------
    path : pathlib.Path
    file : str
        Name for messages.
    limit : int
        Read about so many bytes only, and no broken last line. All when negative.

    Raises
    ------
    SourceFileError
        If the file is not there or cannot be decompressed.
    BarSchemaError
        If it is not text.
    """
    try:
        with path.open("rb") as raw, _unpacked(raw, file) as stream:
            # pyarrow's streams do not take -1 for all.
            data = stream.read(limit) if limit >= 0 else stream.read()
            rest = stream.read(1) if limit >= 0 else b""
    except SourceFileError:
        raise
    except _UNREADABLE as error:
        raise SourceFileError(f"{path} cannot be read: {error}") from error
    return _as_utf8(data[: data.rfind(b"\n") + 1] if rest else data, file)


@contextmanager
def _unpacked(raw: IO[bytes], file: str) -> Iterator[Readable]:
    magic = raw.read(6)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=raw) as stream:
            yield stream
    elif magic.startswith(b"BZh"):
        with bz2.BZ2File(raw) as stream:
            yield stream
    elif magic.startswith(b"\xfd7zXZ\x00"):
        with lzma.LZMAFile(raw) as stream:
            yield stream
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        with pa.CompressedInputStream(raw, "zstd") as stream:
            yield stream
    elif magic.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(raw) as archive, archive.open(_only_member(archive, file)) as member:
            yield member
    else:
        yield raw


def _only_member(archive: zipfile.ZipFile, file: str) -> str:
    # macOS packs a __MACOSX folder of its own beside every file.
    names = [n for n in archive.namelist() if not n.endswith("/") and "__MACOSX/" not in n]
    if len(names) != 1:
        raise SourceFileError(
            f"{file} is a zip of {len(names)} files: unpack it into a folder and name that"
        )
    return names[0]


def _as_utf8(data: bytes, file: str) -> bytes:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", errors="replace").encode()
    data = data.removeprefix(b"\xef\xbb\xbf")
    junk = data.find(b"\0")
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            junk = error.start if junk < 0 else min(junk, error.start)
    if junk >= 0:
        row = data.count(b"\n", 0, junk) + 1
        raise BarSchemaError(
            f"{file} is not text in UTF-8 (row {row} has byte 0x{data[junk]:02x}); if it is a "
            "table, save it as CSV in UTF-8"
        )
    return data
