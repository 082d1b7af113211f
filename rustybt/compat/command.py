"""The names of zipline that a run on the command line needs: registries, extensions, errors."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import zipline
from zipline.errors import ZiplineError
from zipline.extensions import create_args, load
from zipline.finance import metrics
from zipline.finance.blotter import Blotter
from zipline.utils.calendar_utils import get_calendar
from zipline.utils.run_algo import BenchmarkSpec
from zipline.utils.run_algo import load_extensions as load_extension_files

from rustybt.data.calendars import resolve_name

__all__ = [
    "ZiplineError",
    "benchmark_of",
    "blotter_of",
    "calendar_of",
    "create_arguments",
    "load_extensions",
    "metrics_of",
]


def create_arguments(arguments: tuple[str, ...]) -> None:
    """Make ``key=value`` texts known to extensions. Raises ValueError for one of another form."""
    create_args(arguments, zipline.extension_args)


def load_extensions(default: bool, paths: Iterable[str], strict: bool) -> None:
    """Load extension.py of the zipline root, if wanted, and then other files or modules."""
    load_extension_files(default, paths, strict, os.environ)


def calendar_of(name: str | None) -> Any:
    """zipline's calendar of that name; None for None.

    Raises
    ------
    CalendarError
        If there is none.
    """
    return None if name is None else get_calendar(resolve_name(name))


def metrics_of(name: str) -> list[Any]:
    """The metrics of a registered set. Raises ValueError, which names the known sets."""
    return list(metrics.load(name))


def blotter_of(name: str) -> Any:
    """A registered blotter. Raises ValueError, which names the known ones."""
    return load(Blotter, name)


def benchmark_of(chosen: Mapping[str, Any]) -> BenchmarkSpec:
    """The benchmark that ``benchmark_file``, ``_symbol`` or ``_sid`` names, each None if not given.

    If all are, it is zero returns, unless the algorithm calls ``set_benchmark``.
    """
    nothing = all(value is None for value in chosen.values())
    return BenchmarkSpec.from_cli_params(**chosen, no_benchmark=nothing)
