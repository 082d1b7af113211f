"""Run zipline's own tests on rustybt: ``python -m tests.conformance --help``."""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.conformance.display import Display
from tests.conformance.distribution import workspace
from tests.conformance.modules import choose
from tests.conformance.report import Judged, print_table, write_report
from tests.conformance.running import SWAPS, Plan, run_module
from tests.conformance.verdict import Stock, problems, read_baseline, write_baseline

_BASELINE = Path(__file__).with_name("baseline.json")
_CACHE = Path(__file__).parents[2] / ".cache" / "conformance"


@dataclass(frozen=True)
class _Session:
    plan: Plan
    baseline: dict[str, Stock]
    record: bool
    console: Console

    def run(self, modules: Sequence[str], jobs: int) -> list[Judged]:
        """Run modules, the longest first."""
        with (
            Display(self.console, modules, self.baseline) as display,
            ThreadPoolExecutor(jobs) as pool,
        ):

            def run_one(module: str) -> Judged:
                judged = self._judged(module, display)
                display.module_ended(judged)
                return judged

            results = list(pool.map(run_one, sorted(modules, key=self._seconds, reverse=True)))
        return sorted(results, key=lambda judged: judged.run.module)

    def _judged(self, module: str, display: Display) -> Judged:
        run = run_module(module, self.plan, display.test_ended)
        stock = Stock.of(run) if self.record else self.baseline.get(module)
        return Judged(run, stock, problems(run, stock, self.plan.swaps))

    def _seconds(self, module: str) -> float:
        return self.baseline[module].seconds if module in self.baseline else 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the modules; 0 if every one conforms."""
    options = _parser().parse_args(arguments)
    plan = _plan(options)
    baseline = read_baseline(_BASELINE)
    console = Console(width=None if sys.stdout.isatty() else 130)
    session = _Session(plan, baseline, options.record, console)
    results = session.run(choose(plan.workspace, options.modules), options.jobs)
    if options.record:
        recorded = {judged.run.module: judged.stock for judged in results if not judged.run.crash}
        write_baseline(_BASELINE, {**baseline, **recorded})
    print_table(console, results, plan)
    report = plan.output / "report.json"
    write_report(report, results, plan)
    bad = [judged for judged in results if judged.problems]
    console.print(f"{len(bad)} of {len(results)} modules do not conform; details in {report}")
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    add = parser.add_argument
    add("--modules", nargs="+", default=["quick"], help="quick, all, or parts of module paths")
    add("--precision", choices=("bcolz", "full"), default="bcolz", help="of the writers")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="modules that run at a time")
    add("--sdist", type=Path, help="zipline-reloaded's source distribution, not to fetch it")
    add("--stock", action="store_true", help="replace nothing")
    add("--record", action="store_true", help="with --stock: write the outcomes to baseline.json")
    add("--roles", nargs="+", choices=sorted(SWAPS), help="replace only these")
    add("--left-out", action="store_true", help="run also what cannot apply")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    if options.record and not options.stock:
        raise SystemExit("--record is about zipline as it is: add --stock")
    roles = [] if options.stock else options.roles or SWAPS
    output = _CACHE / ("stock" if options.stock else options.precision)
    output.mkdir(parents=True, exist_ok=True)
    return Plan(
        workspace(_CACHE, options.sdist),
        output,
        {role: SWAPS[role] for role in roles},
        options.precision,
        leave_out=not options.left_out,
    )


if __name__ == "__main__":
    sys.exit(main())
