"""``python -m tests.faults``: inject faults, and say how many were survived."""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.faults import campaigns
from tests.faults.campaigns import Outcome


def inject(root: Path, kills: int, readers: int, others: int, seed: int) -> Iterator[Outcome]:
    """All campaigns, one after the other."""
    yield from campaigns.kills(root / "kills", kills, readers, seed)
    yield from campaigns.no_room(root / "room", others, seed)
    yield from campaigns.full_disk(root / "disk", others, seed)
    yield from campaigns.read_only(root / "read-only", others, seed)
    yield from campaigns.damage(root / "damage", others * 2, seed)
    yield from campaigns.two_writers(root / "two", others, seed)
    yield from campaigns.clock_jumps(root / "clock", others // 2, seed)


def main() -> None:
    """Inject, count, and exit with 1 if one was not survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--others", type=int, default=20, help="faults of each other kind")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    injected: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        found = inject(Path(directory), given.kills, given.readers, given.others, given.seed)
        for outcome in found:
            injected[outcome.fault] += 1
            survived[outcome.fault] += not outcome.problems
            for problem in outcome.problems:
                print(f"{outcome.fault}: {problem}", file=sys.stderr, flush=True)
    for fault, number in sorted(injected.items()):
        print(f"{fault:40} {survived[fault]:5} of {number:5}")
    print(f"{'faults survived':40} {survived.total():5} of {injected.total():5}")
    sys.exit(survived.total() < injected.total())


if __name__ == "__main__":
    main()
