"""The command of a migration, for both of its command lines: what to do, what to say, how to end.

`scripts/migrate_catalog_to_unified.py` and ``rustybt migrate`` read their arguments into a
`Request` and hand it to `run`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rustybt.data.bundles.storage import bundles_root
from rustybt.data.errors import UnknownBundleError
from rustybt.legacy.migration._apply import Applied, apply
from rustybt.legacy.migration._convert import MigrationError
from rustybt.legacy.migration._facts import Item, Plan
from rustybt.legacy.migration._plan import Progress, make_plan
from rustybt.legacy.migration._revert import Reverted, Written, revert

Action = Literal["validate", "apply", "revert"]

#: Old flag -> what is said of it. They go in v2.0.
DEPRECATED = {
    "--dry-run": "use --validate, which changes nothing",
    "--backup": "leave it out: what is old is never changed, and --revert removes what was made",
    "--no-backup": "leave it out: what is old is never changed, so there is nothing to back up",
    "--rollback": "use --revert",
}

_FORMS = {"parquet": "Parquet", "bcolz": "bcolz", "record": "record only"}


@dataclass(frozen=True)
class Request:
    """What was typed.

    Attributes
    ----------
    action : {"validate", "apply", "revert"}
    root : pathlib.Path or None
        ``$ZIPLINE_ROOT``, else ``~/.zipline``, if None.
    bundle : str or None
    as_json : bool
    force : bool
    written : {"refuse", "keep", "drop"}
    """

    action: Action = "validate"
    root: Path | None = None
    bundle: str | None = None
    as_json: bool = False
    force: bool = False
    written: Written = "refuse"


def deprecation(flag: str) -> str:
    """What is said of an old flag."""
    return f"{flag} is deprecated since 1.0 and will be removed in v2.0: {DEPRECATED[flag]}."


def run(request: Request, say: Callable[[str], None], progress: Progress | None = None) -> int:
    """Do it, say what was done, and return the exit code.

    Parameters
    ----------
    request : Request
    say : callable
        Prints a line of results.
    progress : callable, optional

    Raises
    ------
    MigrationError
        If there is no such root, or a revert is refused.
    UnknownBundleError
        If the bundle that was named is not among the old ones.
    """
    root = (request.root or bundles_root().parent).expanduser().absolute()
    if not root.is_dir():
        raise MigrationError(f"{root} is no directory; name the zipline root with --root")
    if request.action == "revert":
        done = revert(root, force=request.force, written=request.written)
        _print(request, done, _reverted, say)
        return 0
    cache = Path.home() / ".rustybt" / "cache"
    if request.action == "apply":
        applied = apply(root, cache, bundle=request.bundle, progress=progress)
        _require_known(request, applied.plan)
        _print(request, applied, _applied, say)
        return 0 if applied.ok else 1
    plan = make_plan(root, cache, bundle=request.bundle, progress=progress)
    _require_known(request, plan)
    _print(request, plan, _planned, say)
    return 0 if plan.ok else 1


def _require_known(request: Request, plan: Plan) -> None:
    damaged = [problem.bundle for problem in plan.problems]
    if request.bundle is not None and not plan.items and request.bundle not in damaged:
        raise UnknownBundleError(f"{plan.root} has no old bundle {request.bundle!r}")


def _print(
    request: Request,
    result: Plan | Applied | Reverted,
    lines: Callable[..., Iterator[str]],
    say: Callable[[str], None],
) -> None:
    if request.as_json:
        say(json.dumps(result.to_dict(), indent=2))
        return
    for line in lines(result):
        say(line)


def _planned(plan: Plan) -> Iterator[str]:
    yield f"Found below {plan.root}: {len(plan.found)} catalogs and caches"
    yield from (f"  {path}" for path in plan.found)
    size = sum(item.size_bytes for item in plan.items)
    yield f"Will migrate: {len(plan.items)} bundles, {size:,} bytes"
    for item in plan.items:
        yield f"  {item.bundle}: {_described(item)}"
        yield from (f"    {note}" for note in item.notes)
    yield from _doubts(plan)


def _described(item: Item) -> str:
    facts = item.facts
    span = f"{facts.start} to {facts.end}" if facts.start else "dates unknown"
    bars = f"{facts.rows:,} bars of {', '.join(facts.frequencies)}" if facts.rows else "no bars"
    size = f"{item.size_bytes:,} bytes"
    return f"{_FORMS[item.form]}, {bars}, {span}, source {item.source_type}, {size}"


def _doubts(plan: Plan) -> Iterator[str]:
    conflicts = [(item.bundle, each) for item in plan.items for each in item.conflicts]
    if conflicts:
        yield f"Conflicts: {len(conflicts)}, each kept as what the catalogs claimed"
        yield from (f"  {bundle}: {conflict}" for bundle, conflict in conflicts)
    untrusted = [(item.bundle, reason) for item in plan.items for reason in item.untrusted]
    if untrusted:
        yield f"Untrusted: {len({bundle for bundle, _ in untrusted})}"
        yield from (f"  {bundle}: {reason}" for bundle, reason in untrusted)
    if plan.problems:
        yield f"Damaged or missing, and skipped: {len(plan.problems)}"
        yield from (f"  {problem}" for problem in plan.problems)
    if plan.notes:
        yield "Left alone"
        yield from (f"  {note}" for note in plan.notes)


def _applied(applied: Applied) -> Iterator[str]:
    for each in applied.outcomes:
        if each.status == "failed":
            yield f"{each.item.bundle}: not migrated: {each.reason}"
        else:
            told = "migrated before" if each.status == "present" else _described(each.item)
            compared = f", {each.rows:,} rows compared" if each.rows else ""
            yield f"{each.item.bundle}: {told}{compared}"
            yield f"  {each.version}"
    if not applied.outcomes:
        yield f"There is nothing to migrate below {applied.plan.root}."
    yield from _doubts(applied.plan)
    if applied.manifest is not None:
        yield f"What was read and written, with hashes: {applied.manifest}"


def _reverted(reverted: Reverted) -> Iterator[str]:
    if not reverted.removed and not reverted.kept:
        yield f"There is no migration to revert below {reverted.root}."
    yield from (f"{bundle}: reverted" for bundle in reverted.removed)
    yield from (f"{bundle}: kept, it was written to since" for bundle in reverted.kept)
