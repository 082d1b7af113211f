"""Kill a migration at random points of its work on files, run it again, and compare.

    python -m tests.legacy.kills --kills 100 --seed 1

Half of the kills hit `apply`, half hit `revert`. A point is an operation on a file below the root
(opened, renamed, made, removed), counted by an audit hook in a process that ends itself with
SIGKILL when its number comes. A rerun must then give what an undisturbed run gives, and what is
old must never have changed by a byte.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rustybt.compat.convert  # noqa: F401  before the first fork, so that each child starts fast
from rustybt.data.bundles import BundleMetadata
from rustybt.legacy.migration import apply, revert
from tests.compat import bcolz_root
from tests.frames import sessions
from tests.legacy.old_root import OldRoot, tree, walk

_OPERATIONS = {
    *("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.listdir"),
    *("os.scandir", "os.link", "os.truncate", "shutil.rmtree", "shutil.copyfile"),
}


def build(root: Path) -> None:
    """A root with every form: Parquet, bcolz, a record, and a bundle that is new already."""
    old = OldRoot(root)
    days = sessions("2022-01-03", "2022-02-28")
    for name in ("a", "what?now"):
        old.bars(name, walk([1, 2], days))
        old.parquet_catalog(name, {"source": "x", "symbols": ["A", "B"]})
    old.catalog(10, [{"bundle_name": "gone", "row_count": 7}])
    bcolz_root.Content(daily=bcolz_root.daily(0)).ingest(root, "classic")


def in_child(work: Callable[[], Any], root: Path, point: int | None = None) -> tuple[int, Any]:
    """Run something in a process of its own that kills itself at a point.

    Threads do not survive a fork, so the parent starts none: all that uses Polars runs in here.

    Returns
    -------
    int
        Operations counted; -1 if it was killed.
    object
        What the work returned, if it was not.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        counted = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal counted
            if event in _OPERATIONS and arguments and str(arguments[0]).startswith(str(root)):
                counted += 1
                if counted == point:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        result = work()
        with os.fdopen(writing, "w") as pipe:
            json.dump([counted, result], pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return -1, None
    if status:
        raise SystemExit(f"a run ended with status {status}")
    count_, result_ = json.loads(said)
    return count_, result_


def applied(root: Path) -> dict[str, str]:
    """Migrate, and say what every bundle holds."""
    done = apply(root, root / "no cache")
    if not done.ok:
        raise SystemExit(f"not migrated: {done.plan.problems}")
    environ = {"ZIPLINE_ROOT": str(root)}
    names = {each.item.bundle for each in done.outcomes}
    return {name: BundleMetadata.load(name, environ=environ).content_hash for name in names}


def reverted(root: Path) -> list[str]:
    return sorted(revert(root).removed)


def old_things(root: Path) -> dict[str, tuple[str, int]]:
    """Everything below a root but what is new; and not the time of the root itself, which a kill
    between two changes of it leaves as it is."""
    found = tree(root)
    return {name: each for name, each in found.items() if name != "." and name[:7] != "rustybt"
            and not name.startswith(".tmp")}  # fmt: skip


def kill(kills: int, seed: int, directory: Path) -> None:
    """Kill `apply` and `revert` in turn, and raise at the first difference."""
    pristine, migrated = directory / "pristine", directory / "migrated"
    in_child(lambda: build(pristine), pristine)
    shutil.copytree(pristine, migrated)
    before = old_things(pristine)
    points, wanted = in_child(lambda: applied(migrated), migrated)
    scratch = directory / "scratch"
    shutil.copytree(migrated, scratch)
    back, _ = in_child(lambda: reverted(scratch), scratch)
    chance = random.Random(seed)  # noqa: S311  not a secret
    for number in range(kills):
        forward = number % 2 == 0
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(pristine if forward else migrated, scratch)
        work = applied if forward else reverted
        point = chance.randint(1, points if forward else back)
        count, _ = in_child(lambda: work(scratch), scratch, point)  # noqa: B023
        require(count == -1, f"run {number} was not killed at {point}")
        require(old_things(scratch) == before, f"something old changed at {point}")
        _, again = in_child(lambda: work(scratch), scratch)  # noqa: B023
        if forward:
            require(again == wanted, f"after a kill at {point}: {again} instead of {wanted}")
            in_child(lambda: reverted(scratch), scratch)
        left = [name for name in tree(scratch) if name not in before and name != "."]
        require(not left, f"after a kill at {point} of {work.__name__}, left: {left}")
        require(old_things(scratch) == before, f"not the old tree after a kill at {point}")
    sys.stdout.write(f"{kills} kills, {points} points of apply, {back} of revert: all finished\n")


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(otherwise)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    typed = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        kill(typed.kills, typed.seed, Path(directory))


if __name__ == "__main__":
    main()
