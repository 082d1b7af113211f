"""``rustybt stream SOURCE``: a bundle that grows while the market is open."""

import asyncio
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import Duration, KeyValue, NameList

if TYPE_CHECKING:
    from rustybt.cli._stream_view import Watch
    from rustybt.data.bundles.ingest import IngestResult
    from rustybt.data.sources import DataSource
    from rustybt.data.sources.live_ingest import LiveIngest

_KEPT = "what came is in the bundle's journal; the next stream confirms it"


@click.command()
@click.argument("source")
@click.option("-b", "--bundle", required=True, metavar="NAME", help="Name of the bundle.")
@click.option(
    "--symbols", type=NameList(), multiple=True, required=True, help="Symbols; may be repeated."
)
@click.option("--frequency", default="1m", show_default=True, help="Length of the bars.")
@click.option(
    "--option",
    "options",
    type=KeyValue(),
    multiple=True,
    help="Configuration of the source; may be repeated. Which: rustybt sources info SOURCE",
)
@click.option(
    "--calendar", metavar="NAME", help="Market calendar.  [default: the source's, else XNYS]"
)
@click.option(
    "--off-calendar",
    type=click.Choice(["drop", "raise"]),
    default="drop",
    show_default=True,
    help="Bars outside the calendar: leave them out and record that, or refuse their symbol.",
)
@click.option(
    "--confirm-every",
    "every",
    type=Duration(),
    default=timedelta(hours=1),
    metavar="DURATION",
    help="How often a version is written, besides at each close and at the end.  [default: 1h]",
)
@click.option("--for", "length", type=Duration(), help="Stop after so long.  [default: Ctrl-C]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a bar on stdout.")
def stream(source: str, **request: Any) -> None:
    """Stream bars from SOURCE into a bundle, until Ctrl-C.

    Final bars are on the disk at once, in the bundle's journal, and become a version from time to
    time. What was missed, while the connection or this command was down, is fetched.

    \b
      rustybt stream alpaca --symbols AAPL,MSFT --bundle live --option feed=iex
    """
    from rustybt.cli._stream_view import Watch, print_summary
    from rustybt.cli.ingest.generic import configuration
    from rustybt.data.sources.registry import DataSourceRegistry

    config = configuration(DataSourceRegistry.get_class(source), dict(request.pop("options")))
    made = DataSourceRegistry.get_source(source, **config)
    as_json = request.pop("as_json")
    with Watch.of(as_json) as watch:
        try:
            result = asyncio.run(_stream(made, watch, **request))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_KEPT) from None
    if not as_json:
        print_summary(watch, result, request["bundle"])


async def _stream(
    source: "DataSource",
    watch: "Watch",
    *,
    bundle: str,
    symbols: tuple[tuple[str, ...], ...],
    frequency: str,
    length: timedelta | None,
    **options: Any,
) -> "IngestResult | None":
    from rustybt.data.sources.live_ingest import LiveOptions, live_ingest

    names = [name for group in symbols for name in group]
    async with live_ingest(source, bundle, names, frequency, LiveOptions(**options)) as live:
        watch.live = live
        await _run_until_stopped(live, watch, length)
        watch.settle()
        return await live.confirm()


async def _run_until_stopped(live: "LiveIngest", watch: "Watch", length: timedelta | None) -> None:
    stopped = asyncio.Event()
    _on_signals(stopped.set)
    running = asyncio.create_task(live.run(watch.show))
    waiting = asyncio.create_task(stopped.wait())
    ticking = asyncio.create_task(watch.keep_fresh())
    seconds = length.total_seconds() if length is not None else None
    await asyncio.wait(
        {running, waiting, ticking}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
    )
    for task in (running, waiting, ticking):
        task.cancel()
    for ended in await asyncio.gather(running, waiting, ticking, return_exceptions=True):
        while isinstance(ended, BaseExceptionGroup):
            ended = ended.exceptions[0]
        if isinstance(ended, Exception):
            raise ended


def _on_signals(stop: Callable[[], None]) -> None:
    """Stop in an orderly way at the first signal, and at once at the second."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)
        stop()

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, first)
