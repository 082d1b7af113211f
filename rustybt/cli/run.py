"""``rustybt run``: an algorithm on a bundle, with every option of ``zipline run``."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import KeyValue, Moment, NewFile, json_option, timestamp_option

if TYPE_CHECKING:
    import pandas as pd

_WHAT = (
    click.option(
        "-f",
        "--algofile",
        type=click.File("r", encoding="utf-8"),
        help="File of the algorithm; - reads it from stdin.",
    ),
    click.option("-t", "--algotext", help="Text of the algorithm."),
    click.option(
        "-D",
        "--define",
        type=KeyValue(),
        multiple=True,
        metavar="NAME=EXPRESSION",
        help="Define a name before the algorithm; may be repeated.",
    ),
)
_ON_WHAT = (
    click.option("-b", "--bundle", required=True, metavar="NAME", help="Name of the bundle."),
    timestamp_option,
    click.option("-s", "--start", type=Moment(), help="First session."),
    click.option("-e", "--end", type=Moment(), help="Last session."),
    click.option(
        "--data-frequency",
        type=click.Choice(["daily", "minute"]),
        default="daily",
        show_default=True,
        help="How often handle_data is called.",
    ),
    click.option(
        "--require-quality",
        type=click.FloatRange(0, 1),
        metavar="SCORE",
        help="Refuse a bundle whose quality score is below this.",
    ),
    click.option(
        "--locked",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="RESULT",
        help="Run on the very data of an earlier result (-o or --json), or not at all.",
    ),
    click.option(
        "--trading-calendar", metavar="NAME", help="Calendar of the run.  [default: the bundle's]"
    ),
)
_HOW = (
    click.option(
        "--capital-base", type=float, default=10e6, show_default=True, help="Starting cash."
    ),
    click.option(
        "-bf",
        "--benchmark-file",
        type=click.Path(exists=True, dir_okay=False),
        help="CSV file of benchmark returns: date,return.",
    ),
    click.option("--benchmark-symbol", help="Symbol in the bundle to compare with."),
    click.option("--benchmark-sid", type=int, help="The same by its sid."),
    click.option(
        "--no-benchmark",
        is_flag=True,
        help="Compare with zero returns, unless the algorithm calls set_benchmark. The default.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["fast", "stock"]),
        help="stock runs zipline's own simulation.  [default: $RUSTYBT_ENGINE, else fast]",
    ),
    click.option("--metrics-set", default="default", show_default=True),
    click.option("--blotter", default="default", show_default=True),
    click.option(
        "--extension", multiple=True, metavar="FILE|MODULE", help="Extension to load first."
    ),
    click.option(
        "--strict-extensions/--non-strict-extensions",
        default=False,
        help="Stop if an extension cannot be loaded, or only warn.  [default: warn]",
    ),
    click.option(
        "--default-extension/--no-default-extension",
        default=True,
        help="Load extension.py of $ZIPLINE_ROOT.  [default: load]",
    ),
    click.option(
        "-x", "arguments", multiple=True, metavar="KEY=VALUE", help="Argument for extensions."
    ),
)
_OUTPUT = (
    click.option(
        "-o",
        "--output",
        type=NewFile(or_stdout=True),
        help="Pickle the performance frame into a file; - prints it instead.",
    ),
    click.option("--report", type=NewFile(), help="Write an HTML report."),
    click.option("--print-algo/--no-print-algo", default=False, help="Print the algorithm first."),
    json_option,
)


def run_options(command: Any) -> Any:
    """Give a command the options that say what is run, on what, and how."""
    for option in reversed((*_WHAT, *_ON_WHAT, *_HOW)):
        command = option(command)
    return command


def _output_options(command: Any) -> Any:
    for option in reversed(_OUTPUT):
        command = option(command)
    return command


@click.command()
@run_options
@_output_options
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> None:
    """Run a zipline algorithm on a bundle.

    The options are those of "zipline run". Without -o a summary is printed.

    \b
    rustybt run -f algorithm.py -b my-data --start 2020-01-02 --end 2023-12-29
    """
    check(ctx, options)
    if options["as_json"] and options["output"] == "-":
        ctx.fail("--json and -o - would both print to stdout; give one of them")
    if options["report"] is not None:
        from rustybt.cli._report import require_report

        require_report()
    # What the algorithm prints must not end up in the JSON.
    with redirect_stdout(sys.stderr if options["as_json"] else sys.stdout):
        perf, seconds = _simulate(options)
    _hand_over(perf, seconds, options)


def check(ctx: click.Context, options: dict[str, Any]) -> None:
    """End the command if the options do not say what to run, or say it twice."""
    if options["start"] is None or options["end"] is None:
        ctx.fail(
            "give the first and the last session with --start and --end (rustybt bundles info "
            f"{options['bundle']} shows which there are)"
        )
    if (options["algofile"] is None) == (options["algotext"] is None):
        ctx.fail("give the algorithm with either -f FILE or -t TEXT")
    names = ("benchmark_file", "benchmark_symbol", "benchmark_sid", "no_benchmark")
    given = [name for name in names if options[name] not in (None, False)]
    if len(given) > 1:
        ctx.fail(f"give one of {' and '.join('--' + name.replace('_', '-') for name in given)}")


def _simulate(options: dict[str, Any]) -> tuple["pd.DataFrame", float]:
    from rustybt.cli._output import progress
    from rustybt.cli._quiet import quiet

    text, filename = text_of(options)
    if options["print_algo"]:
        click.echo(text)
    with progress(f"Running {Path(filename).name}") as update, quiet():
        from rustybt.compat.deferred import deferred

        with deferred():
            from rustybt.cli._simulation import Script, simulate

        return simulate(Script(text, filename, options["define"]), options, update)


def text_of(options: dict[str, Any]) -> tuple[str, str]:
    """The text of the algorithm, and what tracebacks call it."""
    file = options["algofile"]
    return (options["algotext"], "<algorithm>") if file is None else (file.read(), file.name)


def _hand_over(perf: "pd.DataFrame", seconds: float, options: dict[str, Any]) -> None:
    from rustybt.cli._output import print_json
    from rustybt.cli._result import as_record, print_summary, write_pickle

    output, report = options["output"], options["report"]
    if isinstance(output, Path):
        write_pickle(perf, output)
    if report is not None:
        from rustybt.cli._report import write

        write(perf, report)
    files = {"perf": output if isinstance(output, Path) else None, "report": report}
    if options["as_json"]:
        print_json(as_record(perf, seconds, files))
    elif output == "-":
        click.echo(str(perf))
    else:
        print_summary(perf, seconds, files)
