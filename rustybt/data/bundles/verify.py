"""Whether versions are what was written: every byte of them hashed again."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rustybt.data.bundles import _files, storage
from rustybt.data.bundles.storage import Version
from rustybt.data.errors import UnknownBundleError


@dataclass(frozen=True)
class Report:
    """What was found of one version.

    Attributes
    ----------
    version : Version
    damaged : mapping of str to str
        Files that are missing or damaged, a sentence each: the version cannot be trusted.
    derived : tuple of str
        The same of what is derived, which is rebuilt when it is read.
    shared : mapping of str to tuple of str
        Damaged file -> names of the other versions that have the very same damage, because the
        file is one on disk.
    """

    version: Version
    damaged: Mapping[str, str]
    derived: tuple[str, ...]
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def damage(self) -> tuple[str, ...]:
        """The sentences about damaged files, with the versions that share the damage."""
        return tuple(
            f"{sentence} (the same file in {', '.join(self.shared[name])})"
            if name in self.shared
            else sentence
            for name, sentence in self.damaged.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "version": self.version.path.name,
            "path": str(self.version.path),
            "sound": not self.damaged,
            "damage": list(self.damage),
            "shared": {name: list(others) for name, others in self.shared.items()},
            "derived": list(self.derived),
        }


def check_version(version: Version, digest_of: Callable[[Path], str] = _files.sha256) -> Report:
    """Hash every file of a version, and of what is derived from it."""
    derived = [
        sentence
        for directory in sorted([*version.path.glob("panel/*"), *version.path.glob("zipline")])
        for sentence in _files.damage(directory).values()
    ]
    return Report(version, _files.damage(version.path, digest_of), tuple(derived))


def verify(
    name: str,
    progress: Callable[[int, int, str], None] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Report]:
    """A report of each version of a bundle, the newest first.

    Raises
    ------
    UnknownBundleError
        If it has none.
    """
    present = storage.versions(name, environ)
    if not present:
        raise UnknownBundleError(f"there is no bundle {name!r} in {storage.bundles_root(environ)}")
    reports = []
    digest_of = _files.each_once()  # files that versions share are hashed once
    for number, version in enumerate(present, 1):
        reports.append(check_version(version, digest_of))
        if progress is not None:
            progress(number, len(present), version.path.name)
    return _with_shared(reports)


def _with_shared(reports: list[Report]) -> list[Report]:
    """The reports, each with the versions that have a damaged file of it as well."""
    owners: dict[tuple[int, int], list[str]] = defaultdict(list)
    inodes: dict[tuple[str, str], tuple[int, int]] = {}
    for report in reports:
        for name in report.damaged:
            path = report.version.path / name
            if path.exists():
                status = path.stat()
                inodes[report.version.path.name, name] = inode = status.st_dev, status.st_ino
                owners[inode].append(report.version.path.name)
    return [_sharing(report, owners, inodes) for report in reports]


def _sharing(
    report: Report,
    owners: Mapping[tuple[int, int], list[str]],
    inodes: Mapping[tuple[str, str], tuple[int, int]],
) -> Report:
    own = report.version.path.name
    shared = {
        name: tuple(each for each in owners[inodes[own, name]] if each != own)
        for name in report.damaged
        if (own, name) in inodes
    }
    listed = {name: others for name, others in shared.items() if others}
    return Report(report.version, report.damaged, report.derived, listed)
