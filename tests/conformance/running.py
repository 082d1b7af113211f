"""One of zipline's test modules, run by pytest in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).parent
_SECONDS_PER_TEST = 600
_ENDINGS = (" PASSED", " FAILED", " SKIPPED", " ERROR", " XFAIL", " XPASS")
#: What is replaced, by role, unless the command line says otherwise.
SWAPS = {
    "DAILY_READER": "rustybt.compat.store_readers:DailyBarReader",
    "DAILY_WRITER": "rustybt.compat.bar_writers:DailyBarWriter",
    "MINUTE_READER": "rustybt.compat.store_readers:MinuteBarReader",
    "MINUTE_WRITER": "rustybt.compat.bar_writers:MinuteBarWriter",
    "RESAMPLER": "rustybt.compat.resample:MinuteResampleSessionBarReader",
    "PORTAL": "rustybt.compat.engine.portal:DataPortal",
    "ALGORITHM": "rustybt.compat.engine.algorithm:TradingAlgorithm",
    "BUNDLE_CORE": "rustybt.compat.bundles:make_bundle_core",
}


#: What makes a bcolz directory readable for a replaced reader.
_CONVERTERS = {
    "DAILY_READER": ("ZL_SWAP_CONVERT_DAILY", "zl_swap.converting:daily"),
    "MINUTE_READER": ("ZL_SWAP_CONVERT_MINUTE", "zl_swap.converting:minute"),
}


@dataclass(frozen=True)
class Plan:
    """How modules are run.

    Attributes
    ----------
    workspace : pathlib.Path
        Holds zipline's ``tests`` package.
    output : pathlib.Path
        Where logs and reports of the modules go.
    swaps : dict of str to str
        Role to replacement; empty for zipline as it is.
    precision : str
        Of the writers: ``bcolz`` or ``full``.
    leave_out : bool
        Whether to leave out what cannot apply.
    """

    workspace: Path
    output: Path
    swaps: dict[str, str] = field(default_factory=dict)
    precision: str = "bcolz"
    leave_out: bool = True

    def environ(self, report: Path, root: str) -> dict[str, str]:
        """The environment of a test process."""
        given = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("ZL_SWAP", "PYTEST", "RUSTYBT"))
        }
        own = {
            "MPLBACKEND": "Agg",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(_HERE / "plugin"),
            "ZIPLINE_ROOT": root,
            "ZL_SWAP_REPORT": str(report),
        }
        if self.swaps:
            own["RUSTYBT_PRECISION"] = self.precision
            if self.leave_out:
                own["ZL_SWAP_INAPPLICABLE"] = str(_HERE / "not_applicable.toml")
        own |= {f"ZL_SWAP_{role}": name for role, name in self.swaps.items()}
        own |= dict(_CONVERTERS[role] for role in self.swaps if role in _CONVERTERS)
        return {**given, **own}


@dataclass(frozen=True)
class Run:
    """What became of a module.

    Attributes
    ----------
    outcomes : dict of str to str
        Test to passed, failed, error, skipped, xfailed or xpassed.
    messages : dict of str to str
        What each failure said.
    left_out : dict of str to str
        Tests that cannot apply, with the reason.
    stale : list of str
        Patterns of tests that cannot apply which match no test.
    constructions : dict of str to int
        By role, of the replacement or of zipline's own class where that is in place.
    leaks : dict of str to dict
        By role, the tests that constructed a replaced original, with counts.
    crash : str
        What the process last said if it ended without a report.
    """

    module: str
    seconds: float
    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    constructions: dict[str, int] = field(default_factory=dict)
    leaks: dict[str, dict[str, int]] = field(default_factory=dict)
    crash: str = ""

    @property
    def counts(self) -> Counter[str]:
        """How many tests came to each outcome."""
        return Counter(self.outcomes.values())


def run_module(module: str, plan: Plan, on_test: Callable[[], None]) -> Run:
    """Run a module; `on_test` is called after each of its tests."""
    stem = plan.output / module.removeprefix("tests/").removesuffix(".py").replace("/", "-")
    report, log = stem.with_suffix(".json"), stem.with_suffix(".log")
    report.unlink(missing_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conformance-") as root:
        tail = _run_pytest(module, plan, plan.environ(report, root), log, on_test)
    seconds = round(time.monotonic() - began, 1)
    if not report.exists():
        return Run(module, seconds, crash=f"see {log}\n{tail}")
    return Run(module, seconds, **json.loads(report.read_text()))


def _run_pytest(
    module: str, plan: Plan, environ: dict[str, str], log: Path, on_test: Callable[[], None]
) -> str:
    """Run pytest, copying what it says to `log`; return the last of it."""
    # fmt: off
    command = [
        sys.executable, "-m", "pytest", "-p", "zl_swap", "-p", "no:cacheprovider",
        "-o", "addopts=", "-v", "--tb=short", "--disable-warnings",
        f"--timeout={_SECONDS_PER_TEST}", module,
    ]
    # fmt: on
    lines: list[str] = []
    with (
        log.open("w") as copy,
        subprocess.Popen(
            command,
            cwd=plan.workspace,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        for line in process.stdout or ():
            copy.write(line)
            lines = [*lines[-9:], line]
            if "::" in line and any(ending in line for ending in _ENDINGS):
                on_test()
    return "".join(lines)
