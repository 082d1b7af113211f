"""``rustybt demo``: real prices in, one of zipline's own examples over thirteen years, a report."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

    from rustybt.data.bundles.ingest import IngestResult

EXAMPLE = "zipline.examples.dual_moving_average"
START, END = "2000-03-01", "2013-03-01"
CAPITAL = 100_000.0
REPORT = "rustybt-demo.html"


@click.command()
@click.option(
    "-b", "--bundle", default="demo", show_default=True, help="Name of the bundle that is made."
)
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    help="Where the report goes.  [default: here]",
)
@click.option("--report/--no-report", default=True, show_default=True)
def demo(bundle: str, output_dir: Path, report: bool) -> None:
    """See it work: real prices, an unedited zipline example, a report. Offline, under a minute.

    The prices are those of AAPL, IBM and MSFT from 2000 to 2013 as they were traded, with their
    splits and dividends.
    """
    from rustybt.cli._output import say

    _refuse_other_bundle(bundle)
    _ingest(bundle)
    try:
        say()
        perf = _run(bundle)
        if report:
            say()
            _report(perf, output_dir / REPORT)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"bundle {bundle} was made, and nothing after it") from None
    _print_next(bundle)


def _refuse_other_bundle(name: str) -> None:
    """A user's own bundle of that name does not get a version of these prices."""
    from rustybt.cli._outcome import fail
    from rustybt.data.bundles.metadata import BundleMetadata
    from rustybt.data.bundles.storage import versions

    present = versions(name)
    if present and BundleMetadata.of(present[0]).symbols != ["AAPL", "IBM", "MSFT"]:
        fail(
            f"there is a bundle {name!r} with other data; "
            "give the demo another name: rustybt demo --bundle NAME"
        )


def _ingest(bundle: str) -> "IngestResult":
    import time

    from rustybt.cli._output import facts, heading, progress
    from rustybt.cli.ingest._summary import assumed, what_is_not, what_is_there
    from rustybt.data.bundles.ingest import ingest
    from rustybt.data.samples import STOCKS
    from rustybt.data.sources.csv import CSVDataSource

    heading("1. Ingest the CSV files of real prices that come with rustybt")
    begin = time.perf_counter()
    with progress(f"Ingesting {bundle}") as update:
        result = ingest(CSVDataSource(STOCKS), bundle, progress=update)
    seconds = time.perf_counter() - begin
    facts(
        [
            ("files", STOCKS),
            *what_is_there(result),
            *what_is_not(result.coverage),
            ("splits", _splits(result)),
            ("assumed", assumed(result.metadata)),
            ("time", f"{seconds:.1f} s"),
        ]
    )
    return result


def _splits(result: "IngestResult") -> str:
    lines = [
        f"{row['symbol']} split {1 / row['ratio']:g}:1 on {row['ex_date']}"
        for row in result.events.splits.sort("symbol", "ex_date").iter_rows(named=True)
    ]
    return "\n".join([*lines, "An algorithm sees prices adjusted for what it could know by then."])


def _run(bundle: str) -> "pd.DataFrame":
    from rustybt.cli._output import facts, heading, progress, say
    from rustybt.cli._quiet import quiet
    from rustybt.cli._result import result_facts

    heading(f"2. Run {EXAMPLE}, as zipline installs it")
    with progress("Running") as update, quiet():
        from rustybt.compat.deferred import deferred

        with deferred():
            from rustybt.cli._simulation import timed_run

        perf, seconds = timed_run(*_job(bundle, update))
    run = perf.attrs["rustybt"]
    say(f"  {run['start']} to {run['end']}, {len(perf):,} sessions")
    facts([*result_facts(perf), ("time", f"{seconds:.1f} s")])
    return perf


def _job(bundle: str, update: Any) -> tuple[Any, Any, Any, str]:
    """The example with what it is run on, as `timed_run` takes them."""
    import pandas as pd

    from rustybt.cli._simulation import SessionProgress
    from rustybt.compat.command import metrics_of
    from rustybt.compat.run import Algorithm, Setting

    module = import_module(EXAMPLE)
    # Its `analyze` draws with matplotlib, which need not be installed.
    functions = {name: getattr(module, name) for name in ("initialize", "handle_data")}
    setting = Setting(
        start=pd.Timestamp(START),
        end=pd.Timestamp(END),
        capital_base=CAPITAL,
        bundle=bundle,
        metrics_set=[*metrics_of("default"), SessionProgress(update)],
    )
    name = EXAMPLE.rpartition(".")[2]
    return Algorithm(name, functions), setting, {}, str(module.__file__)


def _report(perf: "pd.DataFrame", path: Path) -> None:
    from rustybt.cli._output import facts, heading, say
    from rustybt.cli._report import require_report, write
    from rustybt.data.errors import MissingExtraError

    heading("3. Write the report")
    try:
        require_report()
    except MissingExtraError as error:
        say(f"  Left out: {error}")
        return
    write(perf, path)
    facts({"report": path.resolve(), "size": f"{path.stat().st_size / 1e6:,.1f} MB"})


def _print_next(bundle: str) -> None:
    import os

    from rustybt.cli._output import next_commands, quoted
    from rustybt.data.samples import STOCKS

    name = quoted(bundle)
    root = os.environ.get("ZIPLINE_ROOT")
    example = Path(str(import_module("zipline.examples").__file__)).with_name("buy_and_hold.py")
    next_commands(
        f"bundles info {name}",
        f"quality {name}",
        f"run -f {quoted(example)} -b {name} --start 2008-01-02 --end 2012-12-31 "
        "--benchmark-symbol IBM --report buy_and_hold.html",
        f"ingest csv {quoted(STOCKS)} --bundle my-data --symbols AAPL,MSFT",
        before=f"export ZIPLINE_ROOT={quoted(root)}" if root else "",
    )
