"""A run for a command: the algorithm's text, the options, progress, errors."""

import linecache
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd

from rustybt.cli._algorithm_errors import algorithm_errors
from rustybt.cli._outcome import fail
from rustybt.cli.verify_run import read_lock
from rustybt.compat import command
from rustybt.compat.run import Algorithm, Setting, run

Progress = Callable[[int, int, str], None]

_BENCHMARKS = ("benchmark_file", "benchmark_symbol", "benchmark_sid")


@dataclass(frozen=True)
class Script:
    """The text of an algorithm.

    Attributes
    ----------
    text : str
    filename : str
        What tracebacks call it.
    defines : tuple of (str, str)
        Names and expressions that are evaluated before it.
    """

    text: str
    filename: str
    defines: tuple[tuple[str, str], ...] = ()

    def algorithm(self) -> Algorithm:
        """As the library wants it. Raises `click.BadParameter` for a bad definition."""
        # Tracebacks show the lines that ran, also of a text that is in no file.
        lines = self.text.splitlines(keepends=True)
        linecache.cache[self.filename] = (len(self.text), None, lines, self.filename)
        namespace: dict[str, Any] = {}
        for name, expression in self.defines:
            try:
                namespace[name] = eval(expression, namespace)  # noqa: S307  the user's own
            except Exception as error:
                message = f"{name}={expression}: {error}"
                raise click.BadParameter(message, param_hint="-D") from error
        name = "algorithm" if self.filename.startswith("<") else Path(self.filename).stem
        return Algorithm(name, script=self.text, filename=self.filename, namespace=namespace)


def simulate(
    script: Script, options: Mapping[str, Any], update: Progress
) -> tuple[pd.DataFrame, float]:
    """Run a script with the options of the command `run`; the frame, and seconds."""
    load_extensions(options)
    return timed_run(script.algorithm(), setting_of(options, update), options, script.filename)


def setting_of(options: Mapping[str, Any], update: Progress) -> Setting:
    """What the options of the command `run` ask for."""
    with _about("--metrics-set"):
        metrics = command.metrics_of(options["metrics_set"])
    with _about("--blotter"):
        blotter = command.blotter_of(options["blotter"])
    return Setting(
        start=options["start"].normalize(),
        end=options["end"].normalize(),
        capital_base=options["capital_base"],
        bundle=options["bundle"],
        data_frequency=options["data_frequency"],
        bundle_timestamp=options["bundle_timestamp"],
        trading_calendar=command.calendar_of(options["trading_calendar"]),
        metrics_set=[*metrics, SessionProgress(update)],
        blotter=blotter,
        require_quality=options["require_quality"],
        lock=read_lock(options["locked"]) if options["locked"] is not None else None,
        engine=options["engine"],
    )


def timed_run(
    algorithm: Algorithm, setting: Setting, options: Mapping[str, Any], filename: str
) -> tuple[pd.DataFrame, float]:
    """Run an algorithm; an error in it, or in what zipline was asked for, ends the command.

    Parameters
    ----------
    options : mapping
        Names the benchmark, if there is one.
    filename : str
        The file of the algorithm, as its frames name it.
    """
    begin = time.perf_counter()
    with run_errors(filename):
        perf = run(algorithm, setting, benchmark_of(options))
    return perf, time.perf_counter() - begin


def benchmark_of(options: Mapping[str, Any]) -> Any:
    """The benchmark that the options name."""
    return command.benchmark_of({name: options.get(name) for name in _BENCHMARKS})


@contextmanager
def run_errors(filename: str) -> Iterator[None]:
    """End the command with what is wrong with an algorithm or with what it asks for."""
    try:
        with algorithm_errors(filename):
            yield
    except command.ZiplineError as error:
        fail(str(error))


def load_extensions(options: Mapping[str, Any]) -> None:
    """Load zipline's extension files."""
    with _about("-x"):
        command.create_arguments(options["arguments"])
    command.load_extensions(
        options["default_extension"], options["extension"], options["strict_extensions"]
    )


@contextmanager
def _about(option: str) -> Iterator[None]:
    """Say of a ValueError which option it is about."""
    try:
        yield
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


class SessionProgress:
    """A metric of zipline's that measures nothing and says which session has ended."""

    def __init__(self, update: Progress) -> None:
        self._update = update
        self._total = 0

    def start_of_simulation(self, *known: Any) -> None:
        """Called by zipline with (ledger, emission rate, calendar, sessions, benchmark)."""
        self._total = len(known[3])

    def end_of_session(self, *known: Any) -> None:
        """Called by zipline with (packet, ledger, session, its index, portal)."""
        self._update(known[3] + 1, self._total, f"{known[2].date()}")
