"""Whether versions are what was written: every byte of them hashed again."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    damage : tuple of str
        Files that are missing or damaged, a sentence each: the version cannot be trusted.
    derived : tuple of str
        The same of what is derived, which is rebuilt when it is read.
    """

    version: Version
    damage: tuple[str, ...]
    derived: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "version": self.version.path.name,
            "path": str(self.version.path),
            "sound": not self.damage,
            "damage": list(self.damage),
            "derived": list(self.derived),
        }


def check_version(version: Version) -> Report:
    """Hash every file of a version, and of what is derived from it."""
    derived = [
        sentence
        for directory in sorted([*version.path.glob("panel/*"), *version.path.glob("zipline")])
        for sentence in _files.damage(directory)
    ]
    return Report(version, tuple(_files.damage(version.path)), tuple(derived))


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
    for number, version in enumerate(present, 1):
        reports.append(check_version(version))
        if progress is not None:
            progress(number, len(present), version.path.name)
    return reports
