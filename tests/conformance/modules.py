"""Which of zipline's test modules are run."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

#: Take a minute or two in all, and between them use every class that is replaced.
QUICK = (
    "tests/data/bundles/test_core.py",
    "tests/data/bundles/test_csvdir.py",
    "tests/data/bundles/test_quandl.py",
    "tests/data/test_adjustments.py",
    "tests/data/test_daily_bars.py",
    "tests/data/test_dispatch_bar_reader.py",
    "tests/data/test_minute_bars.py",
    "tests/data/test_resample.py",
    "tests/pipeline/test_us_equity_pricing_loader.py",
    "tests/test_api_shim.py",
    "tests/test_benchmark.py",
    "tests/test_bundle_pipeline.py",
    "tests/test_data_portal.py",
)


def choose(workspace: Path, wanted: Sequence[str]) -> list[str]:
    """Modules that are wanted: ``quick``, ``all``, or what a pattern or a part of a path names.

    Raises
    ------
    SystemExit
        If a pattern names none.
    """
    present = sorted(
        path.relative_to(workspace).as_posix() for path in workspace.glob("tests/**/test_*.py")
    )
    chosen = set()
    for pattern in wanted:
        named = {module for module in present if _names(pattern, module)}
        if not named:
            raise SystemExit(f"no module of zipline's tests is named by {pattern!r}")
        chosen |= named
    return sorted(chosen)


def _names(pattern: str, module: str) -> bool:
    if pattern == "all":
        return True
    if pattern == "quick":
        return module in QUICK
    return fnmatchcase(module, pattern) or pattern in module
