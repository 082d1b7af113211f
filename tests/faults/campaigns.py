"""One campaign a kind of fault: each yields what came of every fault that it injected."""

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from rustybt.data.bundles import open_bundle, storage
from rustybt.data.bundles.repair import repair
from rustybt.data.bundles.verify import verify
from rustybt.data.errors import CorruptVersionError
from tests.data.bundles.writer import start
from tests.faults import world

#: Seconds that a writer may take: it is stuck if it takes longer.
_PATIENCE = 120


@dataclass(frozen=True)
class Outcome:
    """What came of one fault.

    Attributes
    ----------
    fault : str
    problems : tuple of str
        Empty if it was survived.
    """

    fault: str
    problems: tuple[str, ...]


def environ(root: Path) -> dict[str, str]:
    """The environment of a root."""
    return {"ZIPLINE_ROOT": str(root)}


def begin(root: Path, day: int = 40) -> None:
    """A fresh bundle with one version."""
    shutil.rmtree(root, ignore_errors=True)
    world.write(str(root), "full", day)


def found_wrong(root: Path, before: set[Path], sids: dict[str, int]) -> list[str]:
    """What is wrong after a fault: a version torn, lost, or with other sids."""
    wrong = []
    present = {version.path for version in storage.versions("b", environ(root))}
    wrong += [f"{path} was lost" for path in sorted(before - present)]
    for report in verify("b", environ=environ(root)):
        wrong += report.damage
    newest = open_bundle("b", environ=environ(root))
    wrong += world.what_is_wrong(newest.bars(), newest.panel("daily").values["close"])
    moved = {s: n for s, n in sids_of(root).items() if sids.get(s, n) != n}
    wrong += [f"sids moved: {moved}"] if moved else []
    return wrong


def sids_of(root: Path) -> dict[str, int]:
    """Symbol -> sid of the newest version."""
    return dict(open_bundle("b", environ=environ(root)).assets.select("symbol", "sid").rows())


def _versions(root: Path) -> set[Path]:
    return {version.path for version in storage.versions("b", environ(root))}


def kills(root: Path, count: int, readers: int, seed: int) -> Iterator[Outcome]:
    """kill -9 of an ingest and of an update, by turns, at random steps and at random moments."""
    chooser = random.Random(seed)
    begin(root)
    watching = [start(world.read_on, root, number) for number in range(readers)]
    sids = sids_of(root)
    for number in range(count):
        work = "update" if number % 2 else "full"
        day = chooser.randrange(41, len(world.DAYS))
        fault = f"kill -9 of {'an update' if number % 2 else 'an ingest'}"
        before = _versions(root)
        _kill(root, work, day, chooser)
        problems = found_wrong(root, before, sids)
        world.write(str(root), work, day)
        problems += found_wrong(root, before, sids)
        yield Outcome(fault, tuple(problems))
        if number % 10 == 9:
            begin_again(root)
    yield from _ended(watching)


def begin_again(root: Path) -> None:
    """Go back to an early version, so that updates have something to do; readers may look on."""
    world.write(str(root), "full", 40)
    for version in storage.versions("b", environ(root))[2:]:
        storage.remove(version)


def _kill(root: Path, work: str, day: int, chooser: random.Random) -> None:
    at_step = chooser.random() < 0.5
    fatal = chooser.randrange(0, 160) if at_step else None
    process, pipe = start(world.write_or_die, root, work, day, fatal)
    if not at_step:
        # The moment is what is random; nothing waits for anything here.
        process.join(timeout=chooser.uniform(0.0, 0.6))
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    process.join(timeout=_PATIENCE)
    pipe.close()


def _ended(watching: list[tuple[BaseProcess, Connection]]) -> Iterator[Outcome]:
    for process, pipe in watching:
        pipe.send("stop")
        reads, wrong = pipe.recv()
        process.join(timeout=_PATIENCE)
        yield Outcome("a reader beside all kills", tuple(wrong if reads else ["it read nothing"]))


def no_room(root: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Files that cannot grow beyond some size."""
    chooser = random.Random(seed)
    begin(root)
    for number in range(count):
        work, day = ("update" if number % 2 else "full"), 50
        limit = chooser.randrange(1, 30_000)
        before, sids = _versions(root), sids_of(root)
        process, pipe = start(world.write_without_room, root, work, day, limit)
        said = pipe.recv()
        process.join(timeout=_PATIENCE)
        problems = found_wrong(root, before, sids)
        world.write(str(root), work, day)
        problems += found_wrong(root, before, sids)
        yield Outcome("no room for a file", tuple(problems) if said else ("nothing was said",))
        begin_again(root)


def full_disk(root: Path, count: int, seed: int) -> Iterator[Outcome]:
    """A file system that is really full; needs the right to mount one."""
    chooser = random.Random(seed)
    root.mkdir(parents=True, exist_ok=True)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(root)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        return
    try:
        world.write(str(root), "full", 40)
        for number in range(count):
            ballast, work = root / "ballast", "update" if number % 2 else "full"
            free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
            ballast.write_bytes(b"x" * max(free - chooser.randrange(1, 150_000), 0))
            before, sids = _versions(root), sids_of(root)
            process, pipe = start(world.write_in_a_full_place, root, work, 50)
            said = pipe.recv()
            process.join(timeout=_PATIENCE)
            problems = found_wrong(root, before, sids) if said else ["nothing was said"]
            ballast.unlink()
            world.write(str(root), work, 50)
            problems += found_wrong(root, before, sids)
            yield Outcome("a full disk", tuple(problems))
            begin_again(root)
    finally:
        subprocess.run(["umount", str(root)], capture_output=True, check=False)


def read_only(root: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Directories that may not be written to: the bundle's, the locks', or all."""
    chooser = random.Random(seed)
    root.parent.chmod(0o755)
    begin(root)
    places = [root / "rustybt" / "b", root / "rustybt" / ".locks", root / "rustybt"]
    for path in (root / "rustybt").rglob("*"):
        path.chmod(0o777)
    for number in range(count):
        chosen = [chooser.choice(places), *places][: 1 + 3 * (number % 2)]
        for path in chosen:
            path.chmod(0o555)
        before, sids = _versions(root), sids_of(root)
        work = "update" if number % 2 else "full"
        process, pipe = start(world.write_as_nobody, root, work, 50)
        said = pipe.recv()
        process.join(timeout=_PATIENCE)
        told = said == "done" or "PermissionError" in str(said)  # what it needs may be writable
        problems = [] if told else [f"the writer said {said}"]
        for path in chosen:
            path.chmod(0o777)
        yield Outcome("read-only directories", (*problems, *found_wrong(root, before, sids)))


def damage(root: Path, count: int, seed: int) -> Iterator[Outcome]:
    """A file flipped in one bit, cut short, emptied or removed; half of them of two versions."""
    chooser = random.Random(seed)
    for number in range(count):
        begin(root, 43)  # in January, so that both versions have the year before in one file
        world.write(str(root), "update", 45)
        before, sids = storage.versions("b", environ(root)), sids_of(root)
        work = "update" if number % 2 else "full"
        files = sorted(p for v in before for p in v.path.rglob("*") if p.is_file())
        linked = [path for path in files if path.stat().st_nlink > 1]
        victim = chooser.choice(linked if number % 4 > 1 else files)
        how = chooser.choice([_flip, _truncate, _empty, Path.unlink])
        shared = victim.stat().st_nlink > 1 and how is not Path.unlink
        how(victim)
        damaged = "a file of two versions" if shared else "a file"
        problems = _after_damage(root, victim, before, sids, work)
        yield Outcome(f"{damaged} damaged: {how.__name__.strip('_')}", tuple(problems))


def _after_damage(
    root: Path, victim: Path, before: list[storage.Version], sids: dict[str, int], work: str
) -> list[str]:
    said = [
        line
        for report in verify("b", environ=environ(root))
        for line in [*report.damage, *report.derived]
    ]
    problems = [] if any(str(victim) in line for line in said) else [f"{victim} is not named"]
    problems += [line for line in said if victim.name not in line]
    try:
        newest = open_bundle("b", environ=environ(root))
        problems += world.what_is_wrong(newest.bars(), newest.panel("daily").values["close"])
    except CorruptVersionError:
        pass  # refused, as it should be
    world.write(str(root), work, 50)
    newest = open_bundle("b", environ=environ(root))
    newest.version.check(every_byte=True)
    problems += world.what_is_wrong(newest.bars(), newest.panel("daily").values["close"])
    problems += [] if sids_of(root) == sids else ["sids moved"]
    lost = {version.path for version in before} - _versions(root)
    problems += [f"{path} was lost" for path in sorted(lost)]
    return problems + _after_repair(root)


def _after_repair(root: Path) -> list[str]:
    """Files of bars that a repair does not put back; tables may be of one version only."""
    repair("b", world.source_on(50), environ(root))
    return [
        f"{report.version.path / name} was not repaired"
        for report in verify("b", environ=environ(root))
        for name in report.damaged
        if name.startswith("daily/")
    ]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x20
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def two_writers(root: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Two processes that write one bundle at the same time."""
    begin(root)
    chooser = random.Random(seed)
    for _ in range(count):
        before, sids = _versions(root), sids_of(root)
        day = chooser.randrange(41, len(world.DAYS))
        both = [start(world.write_or_die, root, "full", day, None) for _ in range(2)]
        said = [pipe.recv() for _, pipe in both]
        for process, _pipe in both:
            process.join(timeout=_PATIENCE)
        problems = found_wrong(root, before, sids)
        written = len(_versions(root) - before)
        if written + said.count("locked") != 2:
            problems.append(f"{written} versions were written, and the writers said {said}")
        yield Outcome("two writers", tuple(problems))
        begin_again(root)


def clock_jumps(root: Path, count: int, seed: int) -> Iterator[Outcome]:
    """A machine whose clock was years ahead when a version was written, and is right again."""
    chooser = random.Random(seed)
    for number in range(count):
        begin(root)
        (first,) = storage.versions("b", environ(root))
        ahead = first.timestamp.replace(year=first.timestamp.year + chooser.randrange(1, 20))
        first.path.rename(first.path.with_name(storage.version_name(ahead)))
        work = "update" if number % 2 else "full"
        before, sids = _versions(root), sids_of(root)
        world.write(str(root), work, 45)
        problems = found_wrong(root, before, sids)
        newest = open_bundle("b", environ=environ(root)).bars()["timestamp"].max()
        problems += [] if newest == world.DAYS[45] else [f"the newest version ends on {newest}"]
        yield Outcome("a clock set back", tuple(problems))
