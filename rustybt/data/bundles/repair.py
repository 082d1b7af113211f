"""Damaged files of versions put back: the very bytes that were written, or nothing.

A version never changes, so a file is only put in the place of a damaged one when its checksum is
the one that was recorded. It is taken from another version that has the same file undamaged, else
made again of what the source of the version delivers now; a record is made of its other form.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import polars as pl

from rustybt.data import _sync
from rustybt.data.bars import Frequency
from rustybt.data.bundles import _contents, _files, _usable, identity, storage
from rustybt.data.bundles._base import REPLACED, Base
from rustybt.data.bundles._batch import Collector, kind_of
from rustybt.data.bundles._encoding import write_bars
from rustybt.data.bundles._gather import Delivery, gather
from rustybt.data.bundles._options import Source
from rustybt.data.bundles._request import asks_of
from rustybt.data.bundles.metadata import FILE, TEXT_FILE, BundleMetadata
from rustybt.data.bundles.plan import Ask
from rustybt.data.bundles.storage import Version
from rustybt.data.errors import CorruptVersionError, RustyBTError, UnknownBundleError

#: Each form of a version's record, and the other one.
_RECORD = {FILE: TEXT_FILE, TEXT_FILE: FILE}


@dataclass(frozen=True)
class Damaged:
    """A file that is damaged, in all the versions that had the same one.

    Attributes
    ----------
    name : str
        Below the version: ``daily/2020.parquet``.
    versions : tuple of Version
        The newest first.
    sealed : _files.Sealed or None
        What it was; None for a manifest, of which nothing tells that.
    """

    name: str
    versions: tuple[Version, ...]
    sealed: _files.Sealed | None


@dataclass(frozen=True)
class Restored:
    """A file that is again what was written, and where its bytes came from."""

    file: str
    versions: tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Left:
    """A file that stays damaged, and why."""

    file: str
    versions: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Repair:
    """What came of a repair."""

    restored: tuple[Restored, ...]
    left: tuple[Left, ...]


def repair(
    name: str, source: Source | None = None, environ: Mapping[str, str] = os.environ
) -> Repair:
    """Put back what is damaged in the versions of a bundle.

    Parameters
    ----------
    source : DataSource, optional
        Asked for the bars of files of which no version has an undamaged one.

    Raises
    ------
    UnknownBundleError
        If there is no such bundle.
    BundleLockedError
        If it is being written.
    """
    if not storage.versions(name, environ):
        raise UnknownBundleError(f"there is no bundle {name!r} in {storage.bundles_root(environ)}")
    with storage.writing(name, environ):
        present = storage.versions(name, environ)
        with _aside(storage.bundle_path(name, environ)) as directory:
            outcomes = [
                _put_back(each, present, source, directory / str(number))
                for each, number in zip(damaged_files(present), count())
            ]
    return Repair(
        tuple(each for each in outcomes if isinstance(each, Restored)),
        tuple(each for each in outcomes if isinstance(each, Left)),
    )


def damaged_files(versions: Iterable[Version]) -> list[Damaged]:
    """Every damaged file of some versions, once for all the versions that had the same one."""
    found: dict[tuple[str, str], list[tuple[Version, _files.Sealed | None]]] = {}
    digest_of = _files.each_once()
    for version in versions:
        broken = _files.damage(version.path, digest_of)
        facts = {} if _files.MANIFEST in broken else _files.sealed(version.path)
        for name in broken:
            was = facts.get(name)
            key = (name, was.sha256 if was is not None else str(version.path))
            found.setdefault(key, []).append((version, was))
    return [
        Damaged(name, tuple(version for version, _ in those), those[0][1])
        for (name, _), those in found.items()
    ]


@contextmanager
def _aside(bundle: Path) -> Iterator[Path]:
    """A directory that the next writer removes if this one is killed."""
    directory = Path(tempfile.mkdtemp(prefix=storage.TEMPORARY, dir=bundle))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _put_back(
    damaged: Damaged, present: list[Version], source: Source | None, directory: Path
) -> Restored | Left:
    versions = tuple(version.path.name for version in damaged.versions)
    if damaged.sealed is None:
        return Left(damaged.name, versions, "nothing else tells what it was")
    directory.mkdir()
    try:
        content, origin = _undamaged(damaged, damaged.sealed, present, source, directory)
    except RustyBTError as error:
        return Left(damaged.name, versions, str(error))
    os.utime(content, ns=(damaged.sealed.modified, damaged.sealed.modified))
    _files.sync(content)
    for number, version in enumerate(damaged.versions):
        _replace(content, version.path / damaged.name, directory / f"{number}")
    return Restored(damaged.name, versions, origin)


def _undamaged(
    damaged: Damaged,
    sealed: _files.Sealed,
    present: list[Version],
    source: Source | None,
    directory: Path,
) -> tuple[Path, str]:
    """A file with the recorded bytes, and where they are from."""
    content = directory / "content"
    found = _usable.find(damaged.name, sealed, present)
    if found is not None:
        shutil.copyfile(found, content)
        return content, f"the same file, undamaged: {found}"
    if _RECORD.get(damaged.name) in _files.names(damaged.versions[0].path):
        return _other_form(damaged, sealed, directory)
    kind, _, period = damaged.name.removesuffix(".parquet").partition("/")
    if not period:
        raise CorruptVersionError("no other version has the same file, and no source has it")
    if source is None:
        raise CorruptVersionError("no other version has the same file, and no source was asked")
    _sync.run(_fetch(damaged.versions[0], (kind, period), source, content))
    name = source.get_metadata().source_type
    if not _files.is_as_sealed(content, sealed):
        raise CorruptVersionError(
            f"source {name} delivers other bars now than when the version was written, or they are "
            "stored otherwise by the libraries of today"
        )
    return content, f"source {name}"


def _other_form(damaged: Damaged, sealed: _files.Sealed, directory: Path) -> tuple[Path, str]:
    """A form of a version's record, made of its other form."""
    version, other = damaged.versions[0].path, _RECORD[damaged.name]
    BundleMetadata.read(_files.check_file(version, other)).save(directory)
    if not _files.is_as_sealed(directory / damaged.name, sealed):
        raise CorruptVersionError(f"what {other} tells is written otherwise by this release")
    return directory / damaged.name, other


async def _fetch(version: Version, file: tuple[str, str], source: Source, target: Path) -> None:
    """Write the bars of a period as the version had them, as far as the source delivers them."""
    kind, period = file
    base = Base(version, pl.DataFrame(schema=REPLACED))
    record = base.metadata
    held = base.contents.filter((pl.col("kind") == kind) & (pl.col("period") == period))
    frequencies = tuple(Frequency.parse(each) for each in record.frequency.split(","))
    own = tuple(each for each in frequencies if kind_of(each) == kind) or frequencies
    rows = held.select("symbol", "first", "last").rows()
    spans = {symbol: [(first, last)] for symbol, first, last in rows}
    asks, _ = asks_of(spans, record.calendar, own)
    collector = Collector(
        target.with_name("spill"),
        own,
        record.calendar,
        "drop",
        identity.sids_of(held.select("sid", "symbol")),
        precision=record.precision,
    )
    gathered = await gather(_deliveries(source, asks, own), collector, held["symbol"].to_list())
    for symbol, error in gathered.failures.items():
        raise CorruptVersionError(f"the bars of {symbol} cannot be fetched again: {error}")
    spill = collector.spills[kind]
    span = _contents.span_of(kind, period)
    if span not in spill.periods():
        raise CorruptVersionError(f"source {record.source_type} has no bars of {period} any more")
    bounds = held.select("sid", "first", "last")
    bars = spill.read(span).join(bounds, on="sid", maintain_order="left")
    write_bars(target, bars.filter(pl.col("session").is_between(pl.col("first"), pl.col("last"))))


async def _deliveries(
    source: Source, asks: tuple[Ask, ...], frequencies: tuple[Frequency, ...]
) -> AsyncIterator[Delivery]:
    names = [str(each) for each in frequencies]
    for ask in asks:
        async for delivery in source.deliver(list(ask.symbols), ask.start, ask.end, names):
            yield delivery


def _replace(content: Path, target: Path, aside: Path) -> None:
    """Put a file in the place of another one in one step; whoever reads that one keeps it."""
    try:
        os.link(content, aside)
    except OSError:  # a file system without links
        shutil.copy2(content, aside)
    target.parent.mkdir(exist_ok=True)
    aside.replace(target)
    _files.sync(target.parent)
