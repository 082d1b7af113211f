"""What is seen while modules run: bars on a terminal, and a line for each module that ends."""

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.conformance.report import Judged
from tests.conformance.verdict import Stock


class Display:
    """Counts tests and modules; its methods may be called from any thread.

    Parameters
    ----------
    modules : sequence of str
        What will be run.
    known : dict of str to Stock
        How many tests to expect of them.
    """

    def __init__(self, console: Console, modules: Sequence[str], known: dict[str, Stock]) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console)
        expected = sum(known[module].total for module in modules if module in known)
        self._tests = self._progress.add_task("tests", total=expected)
        self._modules = self._progress.add_task("modules", total=len(modules))

    def __enter__(self) -> "Display":
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave them as they are."""
        self._progress.stop()

    def test_ended(self) -> None:
        """One more test."""
        self._progress.advance(self._tests)

    def module_ended(self, judged: Judged) -> None:
        """One more module: print what it came to."""
        run = judged.run
        self._progress.advance(self._tests, len(run.left_out))
        self._progress.advance(self._modules)
        verdict = "DOES NOT CONFORM" if judged.problems else ""
        line = f"{run.seconds:6.0f} s  {run.counts['passed']:4} passed  {run.module}  {verdict}"
        self._progress.console.print(line.rstrip(), markup=False, highlight=False)
