"""Carrying a plan out: bundle by bundle, each at once or not at all, and again after a kill."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from rustybt.data.bundles import _files, storage
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.errors import RustyBTError
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.legacy.migration import _convert
from rustybt.legacy.migration._discover import Found, discover
from rustybt.legacy.migration._facts import Item, Plan, Problem
from rustybt.legacy.migration._journal import Journal
from rustybt.legacy.migration._load import load
from rustybt.legacy.migration._plan import Progress, Sources, make_plan


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes
    ----------
    item : Item
    status : {"migrated", "present", "failed"}
        ``present``: an earlier run made its version.
    version : pathlib.Path or None
    rows : int
        Bars that were read from both sides and found equal.
    reason : str
        Why it failed.
    """

    item: Item
    status: Literal["migrated", "present", "failed"]
    version: Path | None = None
    rows: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Applied:
    """What a migration did.

    Attributes
    ----------
    plan : Plan
        With the problems of the migration itself.
    outcomes : tuple of Outcome
    manifest : pathlib.Path or None
        Hashes of all that was read and written; None where there was nothing to migrate.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...] = field(default=())
    manifest: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that was found is migrated now."""
        return self.plan.ok

    def to_dict(self) -> dict[str, Any]:
        """What was done as plain JSON values."""
        done = [
            {
                "bundle": each.item.bundle,
                "form": each.item.form,
                "status": each.status,
                "version": each.version and str(each.version),
                "rows_compared": each.rows,
                "reason": each.reason,
            }
            for each in self.outcomes
        ]
        manifest = self.manifest and str(self.manifest)
        return {**self.plan.to_dict(), "migrated": done, "manifest": manifest}


def apply(
    root: Path,
    cache: Path,
    *,
    bundle: str | None = None,
    progress: Progress | None = None,
    clock: Clock = utc_now,
) -> Applied:
    """Make versions of everything old below a root; what is old stays as it is.

    Parameters
    ----------
    root, cache, bundle, progress
        As for `make_plan`.
    clock : callable
        Tells when the migration began, from which on it can be reverted for seven days.

    Raises
    ------
    BundleLockedError
        If another migration of this root, or another writer of one of its bundles, is at work.
    """
    journal = Journal(root)
    journal.remove_leftovers()
    plan = make_plan(root, cache, bundle=bundle, progress=progress)
    if not plan.items:
        return Applied(plan)
    if not journal.exists:
        journal.begin(clock())
    with journal.locked():
        found = discover(root, cache)
        sources = Sources(found)
        outcomes = []
        for done, item in enumerate(plan.items):
            if progress is not None:
                progress(done, len(plan.items), item.bundle)
            outcomes.append(_apply_one(item, found, sources, journal))
        failed = [
            Problem(each.item.paths[0], each.reason, each.item.bundle)
            for each in outcomes
            if each.status == "failed"
        ]
        whole = replace(plan, problems=(*plan.problems, *failed))
        manifest = journal.write_manifest(_manifest(whole, outcomes, journal))
    return Applied(whole, tuple(outcomes), manifest)


def _apply_one(item: Item, found: Found, sources: Sources, journal: Journal) -> Outcome:
    environ = {"ZIPLINE_ROOT": str(journal.root)}
    try:
        present = _convert.find_made(item, environ)
        if present is not None:
            return Outcome(item, "present", present.path)
        if item.form == "record" and storage.versions(item.bundle, environ):
            return Outcome(item, "failed", reason="there is a newer bundle of this name")
        journal.write(step="make", bundle=item.bundle, identity=item.identity)
        made = _make(item, found, sources, environ)
    except RustyBTError as error:
        return Outcome(item, "failed", reason=str(error))
    except OSError as error:
        return Outcome(item, "failed", reason=f"{error.strerror or error}")
    return Outcome(item, "migrated", made.path, made.rows)


def _make(item: Item, found: Found, sources: Sources, environ: dict[str, str]) -> _convert.Made:
    if item.form == "bcolz":
        return _convert.from_bcolz(item, environ)
    if item.form == "record":
        return _convert.from_claims(item, environ)
    home = found.homes[item.bundle]
    loaded = load(home, item.claims, sources.of(home))
    if loaded.facts != item.facts:
        raise _convert.MigrationError("its files changed while they were read; migrate it again")
    return _convert.from_parquet(item, loaded, environ)


def _manifest(plan: Plan, outcomes: list[Outcome], journal: Journal) -> dict[str, Any]:
    """Hashes of everything that was read and written."""
    begun = journal.entries()[0]["time"]
    read = {path for item in plan.items for path in item.paths} | set(plan.found)
    return {
        "root": str(plan.root),
        "begun": begun,
        "read": {_short(path, plan.root): _files.sha256(path) for path in sorted(_below(read))},
        "written": {
            _short(each.version, plan.root): _written(each.version)
            for each in outcomes
            if each.version is not None
        },
        "plan": plan.to_dict(),
    }


def _below(paths: set[Path]) -> Iterator[Path]:
    """The files that some paths are, or hold."""
    for path in paths:
        if path.is_dir():
            yield from (each for each in path.rglob("*") if each.is_file())
        elif path.is_file():
            yield path


def _short(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _written(version: Path) -> dict[str, Any]:
    names = _files.names(version)
    record = BundleMetadata.read(version / "metadata.parquet")
    return {
        "content_hash": record.content_hash,
        "rows": record.row_count,
        "files": {name: _files.sha256(version / name) for name in names},
    }
