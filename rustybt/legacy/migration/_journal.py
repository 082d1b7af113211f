"""What a migration did, written down before it does it, so that a killed one can go on or back.

``<root>/rustybt/.migration/journal.jsonl`` has a line a step. A line is on the disk before the
step begins; the last one may be cut short, and its step has then not begun.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rustybt.data.bundles import _files
from rustybt.data.bundles.storage import bundles_root
from rustybt.data.errors import BundleLockedError

DIRECTORY = ".migration"
_ASIDE = ".tmp-migration"
_FILE = "journal.jsonl"
MANIFEST = "manifest.json"
#: What the second of two migrations runs into if both start a journal at once.
_OVERTAKEN = (errno.EEXIST, errno.ENOENT, errno.ENOTEMPTY)


@dataclass(frozen=True)
class Journal:
    """The journal of the migration of one root.

    Attributes
    ----------
    root : pathlib.Path
        ``$ZIPLINE_ROOT``.
    """

    root: Path

    @property
    def bundles(self) -> Path:
        """The directory of all new bundles."""
        return bundles_root({"ZIPLINE_ROOT": str(self.root)})

    @property
    def directory(self) -> Path:
        """Where the journal and the manifest lie."""
        return self.bundles / DIRECTORY

    @property
    def exists(self) -> bool:
        """Whether the root was migrated and not reverted."""
        return (self.directory / _FILE).is_file()

    def entries(self) -> list[dict[str, Any]]:
        """All steps, the oldest first."""
        lines = (self.directory / _FILE).read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def begin(self, now: datetime) -> None:
        """Start the journal in one step, and say in it what was there before.

        Raises
        ------
        BundleLockedError
            If another migration of this root is starting.
        """
        try:
            self._begin(now)
        except OSError as error:
            if error.errno in _OVERTAKEN:
                raise BundleLockedError(_under_way(self.root)) from None
            raise

    def _begin(self, now: datetime) -> None:
        before = self.root.stat().st_mtime_ns
        fresh = not self.bundles.exists()
        aside = self.root / _ASIDE
        inside = aside / DIRECTORY if fresh else aside
        inside.mkdir(parents=True)
        known = {} if fresh else {p.name: _names(p) for p in self.bundles.iterdir() if p.is_dir()}
        entry = {"step": "begin", "time": now.isoformat(), "fresh": fresh, "before": known}
        (inside / _FILE).write_text(json.dumps(entry) + "\n")
        _files.sync(inside / _FILE)
        _files.sync(inside)
        aside.rename(self.bundles if fresh else self.directory)
        _files.sync(self.root)
        self.write(step="began", root=[before, self.root.stat().st_mtime_ns])

    def write(self, **entry: Any) -> None:
        """Add a step, and wait until it is on the disk."""
        path = self.directory / _FILE
        with path.open("rb+") as file:
            whole = file.read().rfind(b"\n") + 1
            file.seek(whole)
            file.truncate()  # what a killed process did not finish
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def write_manifest(self, manifest: dict[str, Any]) -> Path:
        """Put the manifest beside the journal, in one step."""
        target = self.directory / MANIFEST
        aside = target.with_suffix(".tmp")
        aside.write_text(json.dumps(manifest, indent=1, sort_keys=True))
        _files.sync(aside)
        return aside.rename(target)

    def remove_leftovers(self) -> None:
        """Remove what a killed process left outside the journal."""
        shutil.rmtree(self.root / _ASIDE, ignore_errors=True)

    def end(self) -> None:
        """Remove the journal in one step, and the directory of bundles if it made that."""
        entries = self.entries()
        aside = self.root / _ASIDE
        others = [path for path in self.bundles.iterdir() if path.name != DIRECTORY]
        now = self.root.stat()
        (self.bundles if entries[0]["fresh"] and not others else self.directory).rename(aside)
        shutil.rmtree(aside)
        times = [entry["root"] for entry in entries if entry["step"] == "began"]
        if times and times[0][1] == now.st_mtime_ns:  # nobody else changed it in between
            os.utime(self.root, ns=(now.st_atime_ns, times[0][0]))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other migrations of this root out.

        Raises
        ------
        BundleLockedError
            If one is under way.
        """
        try:
            with FileLock(self.directory / "lock", timeout=0):
                yield
        except Timeout:
            raise BundleLockedError(_under_way(self.root)) from None


def _under_way(root: Path) -> str:
    return f"another migration of {root} is under way; wait for it to end"


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
