"""Undoing a migration: what it made goes, and what was there before is as it was."""

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from rustybt.data.bundles import storage
from rustybt.data.errors import CorruptVersionError
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.legacy.migration._convert import MigrationError, identity_of
from rustybt.legacy.migration._journal import Journal

#: How long a migration can be reverted without being asked twice.
GRACE = timedelta(days=7)

#: What to do with migrated bundles that were written to since.
Written = Literal["refuse", "keep", "drop"]


@dataclass(frozen=True)
class Reverted:
    """What a revert did.

    Attributes
    ----------
    root : pathlib.Path
    removed : tuple of str
        Bundles of which the migrated versions are gone.
    kept : tuple of str
        Bundles that were written to since and stay as they are.
    """

    root: Path
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What was done as plain JSON values."""
        return {"root": str(self.root), "removed": [*self.removed], "kept": [*self.kept]}


@dataclass(frozen=True)
class _Bundle:
    """A bundle that was migrated, as it is now."""

    name: str
    made: tuple[storage.Version, ...]
    since: tuple[storage.Version, ...]
    #: Whether there was no such bundle before the migration.
    new: bool


def revert(
    root: Path,
    *,
    force: bool = False,
    written: Written = "refuse",
    clock: Clock = utc_now,
) -> Reverted:
    """Remove everything that a migration made.

    Parameters
    ----------
    root : pathlib.Path
    force : bool
        Also when the migration was begun more than seven days ago.
    written : {"refuse", "keep", "drop"}
        What to do with migrated bundles that were written to since: refuse all, leave these as
        they are, or remove what was written as well.
    clock : callable

    Returns
    -------
    Reverted
        Empty if there is no migration to revert.

    Raises
    ------
    MigrationError
        If it is too late, or bundles were written to since.
    BundleLockedError
        If another process is writing one of the bundles.
    """
    journal = Journal(root)
    journal.remove_leftovers()
    if not journal.exists:
        return Reverted(root)
    with journal.locked():
        entries = journal.entries()
        _require_in_time(entries[0], clock(), force)
        decided = [entry["written"] for entry in entries if entry["step"] == "revert"]
        bundles = _bundles(journal, entries)
        touched = [bundle for bundle in bundles if bundle.since]
        choice = written if written != "refuse" else (decided or ["refuse"])[-1]
        if touched and choice == "refuse":
            raise MigrationError(_refusal(touched))
        journal.write(step="revert", written=choice)
        kept = [bundle.name for bundle in touched] if choice == "keep" else []
        removed = [bundle for bundle in bundles if bundle.name not in kept]
        for bundle in removed:
            _remove(bundle, journal, entries[0]["before"])
        journal.end()
    return Reverted(root, tuple(bundle.name for bundle in removed), tuple(kept))


def _require_in_time(begin: dict[str, Any], now: datetime, force: bool) -> None:
    begun = datetime.fromisoformat(begin["time"])
    if now - begun > GRACE and not force:
        raise MigrationError(
            f"the migration was begun on {begun:%Y-%m-%d}, more than {GRACE.days} days ago; "
            "revert it with --force if that is what you want"
        )


def _bundles(journal: Journal, entries: list[dict[str, Any]]) -> list[_Bundle]:
    identities: dict[str, set[str]] = {}
    for entry in entries:
        if entry["step"] == "make":
            identities.setdefault(entry["bundle"], set()).add(entry["identity"])
    before = entries[0]["before"]
    found = []
    for name, wanted in sorted(identities.items()):
        directory = storage.encode_name(name)
        present = storage.versions(name, {"ZIPLINE_ROOT": str(journal.root)})
        new = [each for each in present if each.path.name not in before.get(directory, ())]
        made = tuple(each for each in new if _was_made(each, wanted))
        since = tuple(each for each in new if each not in made)
        found.append(_Bundle(name, made, since, directory not in before))
    return found


def _was_made(version: storage.Version, identities: set[str]) -> bool:
    """Whether the migration made a version and nobody changed a byte of it since."""
    try:
        return identity_of(version) in identities
    except CorruptVersionError:
        return False


def _refusal(touched: list[_Bundle]) -> str:
    lines = [
        f"  {bundle.name}: {', '.join(str(version.path) for version in bundle.since)}"
        for bundle in touched
    ]
    return "\n".join(
        [
            "nothing was reverted: these migrated bundles were written to or changed since:",
            *lines,
            "Leave them as they are with --keep, or remove what was written as well with --drop.",
        ]
    )


def _remove(bundle: _Bundle, journal: Journal, before: dict[str, list[str]]) -> None:
    environ = {"ZIPLINE_ROOT": str(journal.root)}
    storage.remove_leftovers(bundle.name, environ)
    for version in (*bundle.made, *bundle.since):
        storage.remove(version)
    directory = storage.bundle_path(bundle.name, environ)
    if bundle.new and directory.is_dir():
        shutil.rmtree(directory)
    # Locks, and whatever else writers keep about a bundle, in directories of their own.
    for service in journal.bundles.glob(".*/"):
        if service == journal.directory:
            continue
        for path in list(service.iterdir()):
            named = directory.name in (path.name, path.stem)
            if named and path.name not in before.get(service.name, ()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if service.name not in before and not any(service.iterdir()):
            service.rmdir()
