"""The data lock of a run: what it was computed from, and whether that is still at hand."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rustybt.data.bundles import _files, storage
from rustybt.data.bundles.bundle import Bundle
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.calendars import calendar_version
from rustybt.data.errors import CorruptVersionError, OptionError


@dataclass(frozen=True)
class DataLock:
    """The inputs of a run.

    Attributes
    ----------
    bundle, version : str
        Name of the bundle, and directory name of the version.
    content_hash : str
        Over bars, assets and events, however they are stored.
    manifest : str
        SHA-256 over the names and checksums of the version's files.
    calendar, calendar_version : str
    libraries : mapping of str to str
        Package -> version.
    """

    bundle: str
    version: str
    content_hash: str
    manifest: str
    calendar: str
    calendar_version: str
    libraries: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: Bundle, calendar: str, libraries: Mapping[str, str]) -> "DataLock":
        """The lock of a run on an open bundle."""
        return cls(
            bundle=bundle.metadata.bundle_name,
            version=bundle.version.path.name,
            content_hash=bundle.metadata.content_hash,
            manifest=_files.digest(bundle.version.path),
            calendar=calendar,
            calendar_version=calendar_version(),
            libraries=dict(libraries),
        )

    @classmethod
    def from_run(cls, facts: Mapping[str, Any]) -> "DataLock":
        """The lock in ``perf.attrs["rustybt"]``, or in what ``rustybt run --json`` printed.

        Raises
        ------
        OptionError
            If there is none.
        """
        found = facts.get("lock") or facts.get("run", {}).get("lock")
        if not isinstance(found, Mapping):
            raise OptionError(
                "the result has no data lock: it was computed on a bundle in zipline's own format, "
                "or by an earlier release"
            )
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """The lock as plain JSON values."""
        return asdict(self)

    def find(self, environ: Mapping[str, str] = os.environ) -> storage.Version:
        """The locked version.

        Raises
        ------
        CorruptVersionError
            If it is not there any more.
        """
        for found in storage.versions(self.bundle, environ):
            if found.path.name == self.version:
                return found
        raise CorruptVersionError(
            f"version {self.version} of bundle {self.bundle!r} is not in "
            f"{storage.bundles_root(environ)} any more"
        )

    def differences(self, environ: Mapping[str, str] = os.environ) -> list[str]:
        """What is not as it was when the run was made, a sentence each; every byte is compared."""
        try:
            found = self.find(environ)
            found.check(every_byte=True)
        except CorruptVersionError as error:
            return [str(error)]
        differ = []
        if BundleMetadata.of(found).content_hash != self.content_hash:
            differ.append(f"the content of version {self.version} is another one")
        elif _files.digest(found.path) != self.manifest:
            differ.append(f"the files of version {self.version} are other ones")
        if calendar_version() != self.calendar_version:
            differ.append(
                f"calendar {self.calendar} was that of exchange_calendars {self.calendar_version}, "
                f"and {calendar_version()} is installed"
            )
        return differ

    def other_libraries(self) -> list[str]:
        """Packages that are installed in another version, a sentence each."""
        return [
            f"{name} was {wanted}, and {_installed(name)} is installed"
            for name, wanted in self.libraries.items()
            if _installed(name) != wanted
        ]


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
