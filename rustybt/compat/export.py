"""Bundles for other programs: zipline's own format, csvdir, and flat tables."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from rustybt.compat import _export_bcolz, _export_csvdir, _export_tables
from rustybt.compat._export_losses import ExportError, Losses
from rustybt.compat._export_rows import KINDS, Step, counts
from rustybt.data.bundles import _files
from rustybt.data.bundles.bundle import Bundle
from rustybt.data.errors import BundleError

#: Called with (symbols done, symbols in all, what is being done).
Progress = Callable[[int, int, str], None]
Format = Literal["bcolz", "csvdir", "parquet", "arrow"]

FORMATS: dict[str, Callable[[Bundle, Path, Losses, Step], None]] = {
    "bcolz": _export_bcolz.write,
    "csvdir": _export_csvdir.write,
    "parquet": _export_tables.write_parquet,
    "arrow": _export_tables.write_arrow,
}
_TEMPORARY = ".tmp-"


class ExportTargetError(BundleError, FileExistsError):
    """There is something already where a bundle should be exported to."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    bundle : str
    version : str
        When it was ingested, as its directory is named.
    to : {"bcolz", "csvdir", "parquet", "arrow"}
    path : pathlib.Path
        The directory that is new.
    bars : dict of str to int
        ``daily`` and ``minute`` bars of the bundle.
    size_bytes : int
    losses : dict of str to int
        What the format could not hold -> rows; empty unless `lossy`.
    examples : list of str
        The first of these rows.
    notes : list of str
        What the format holds in another way, in sentences.
    """

    bundle: str
    version: str
    to: Format
    path: Path
    bars: dict[str, int]
    size_bytes: int
    losses: dict[str, int]
    examples: list[str]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {**asdict(self), "path": str(self.path)}

    def __str__(self) -> str:
        count = sum(self.bars.values())
        lines = [f"{self.bundle}: {count:,} bars as {self.to} in {self.path}"]
        lines += [f"lost: {count:,} x {rule}" for rule, count in self.losses.items()]
        return "\n  ".join([*lines, *self.notes])


def export(
    bundle: Bundle,
    to: Format,
    directory: str | os.PathLike[str],
    *,
    lossy: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a bundle's version for other programs, whole or not at all.

    Parameters
    ----------
    bundle : Bundle
    to : {"bcolz", "csvdir", "parquet", "arrow"}
        ``bcolz``: an ingestion that zipline loads, in a new directory named by the ingest time
        inside `directory`, which can be ``$ZIPLINE_ROOT/data/<bundle>``. ``csvdir``: a CSV file a
        symbol, as zipline's csvdir bundle and `CSVDataSource` read them. ``parquet``, ``arrow``:
        ``daily`` and ``minute`` bars, assets and events, one file each.
    directory : path
        Is made; it must not hold anything yet (for ``bcolz``: no ingestion of that time).
    lossy : bool
        Whether to go on, and report it, where the format cannot hold all: prices are rounded to
        thousandths, volumes cut to whole numbers, bars that are too large or too early left out.
    progress : callable, optional
        Called with (symbols done, symbols in all, what is being done).

    Raises
    ------
    ExportTargetError
        If there is something already.
    ExportError
        If the format cannot hold all of the bundle, naming and counting the rows.
    CorruptVersionError
        If a file of the version is damaged.
    """
    if to not in FORMATS:
        raise ExportError(f"{to!r} is none of {', '.join(FORMATS)}")
    target = Path(directory).expanduser().absolute()
    if to == "bcolz":
        target /= bundle.version.path.name
    bundle.version.check(every_byte=True)
    bars = {kind: counts(bundle, kind) for kind in KINDS}
    step = _steps(sum(len(known) for known in bars.values()), progress)
    losses = Losses()
    with _written_aside(target) as aside:
        FORMATS[to](bundle, aside, losses, step)
        if losses.counts and not lossy:
            raise losses.error(to)
    return Exported(
        bundle=bundle.metadata.bundle_name,
        version=bundle.version.path.name,
        to=to,
        path=target,
        bars={kind: int(known["bars"].sum()) for kind, known in bars.items() if len(known)},
        size_bytes=sum(p.stat().st_size for p in target.rglob("*") if p.is_file()),
        losses=losses.counts,
        examples=losses.examples,
        notes=losses.notes,
    )


def _steps(total: int, progress: Progress | None) -> Step:
    done = 0

    def step(label: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, label)

    return step


@contextmanager
def _written_aside(target: Path) -> Iterator[Path]:
    """An empty directory that becomes `target` when the body ends, and goes when it raises.

    What a killed export left beside the target is removed by the next one.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportTargetError(f"{target} is there already and not empty; name another directory")
    aside = target.with_name(f"{_TEMPORARY}{target.name}")
    made = [each for each in (target.parent, *target.parent.parents) if not each.exists()]
    aside.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(aside / "lock", timeout=0):
            yield from _published(aside, target)
    except Timeout:
        raise ExportTargetError(f"another process is exporting to {target}") from None
    finally:
        for parent in made:
            with suppress(OSError):  # not empty: it has the export, or another's files
                parent.rmdir()


def _published(aside: Path, target: Path) -> Iterator[Path]:
    content = aside / "content"
    if content.exists():  # a killed export's: whoever is here holds the lock
        shutil.rmtree(content)
    content.mkdir()
    try:
        yield content
        for path in [*content.rglob("*"), content]:
            _files.sync(path)
        content.rename(target)
        _files.sync(target.parent)
    finally:
        shutil.rmtree(aside)
