"""``rustybt cache``: what is kept of what sources answered, and what may go."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import KeyValue, Moment, NameList, Size, json_option

if TYPE_CHECKING:
    from rustybt.data.sources.cache_directory import CachedSeries
    from rustybt.data.sources.cached_source import CachedDataSource

_directory = click.option(
    "--cache-dir",
    type=click.Path(file_okay=False),
    help="The cache's directory.  [default: $RUSTYBT_CACHE, else ~/.rustybt/cache]",
)


@click.group()
def cache() -> None:
    """Show and tidy the cache of what sources answered."""


@cache.command()
@_directory
@json_option
def stats(cache_dir: str | None, as_json: bool) -> None:
    """Show how large the cache is and how often it spared a fetch."""
    from rustybt.cli._output import facts, heading, print_json
    from rustybt.cli._sizes import written
    from rustybt.data.sources.cache_directory import CacheDirectory

    summary = CacheDirectory(cache_dir).summary()
    if as_json:
        print_json({**asdict(summary), "hit_rate": summary.stats.hit_rate})
        return
    counted = summary.stats
    rate = f"{counted.hit_rate:.1%} of {counted.requests:,} requests"
    heading(f"Cache in {summary.path}")
    facts(
        [
            ("size", f"{written(summary.bytes)} in {summary.segments:,} files"),
            ("series", f"{summary.series:,}, {summary.spans:,} intervals covered"),
            ("hit rate", rate if counted.requests else "not used yet"),
            ("fetches", f"{counted.fetches:,}, {counted.rows_fetched:,} bars"),
            ("from the cache", f"{counted.rows_from_cache:,} bars"),
            ("stale answers", f"{counted.stale:,}" if counted.stale else None),
            ("evictions", f"{counted.evictions:,}"),
            ("restatements", f"{summary.restatements:,}"),
        ]
    )


@cache.command("list")
@click.option("--source", help="Only of this source.")
@click.option("--symbols", type=NameList(), help="Only of these symbols.")
@_directory
@json_option
def list_(
    source: str | None, symbols: tuple[str, ...] | None, cache_dir: str | None, as_json: bool
) -> None:
    """List what is covered, by source, symbol and frequency."""
    from rustybt.cli._output import next_commands, print_json, say, table
    from rustybt.data.sources.cache_directory import CacheDirectory

    directory = CacheDirectory(cache_dir)
    chosen = [
        each
        for each in directory.series()
        if source in (None, each.source) and (symbols is None or each.symbol in symbols)
    ]
    if as_json:
        print_json([asdict(each) for each in chosen])
    elif not chosen:
        say(f"Nothing of that is cached in {directory.path}.")
        next_commands("cache warm SOURCE --symbols A,B --start 2020-01-01 --end 2020-12-31")
    else:
        columns = ("source", "symbol", "freq.", "first", "last", "spans", "bars", "size", "asked")
        table(columns, map(_row, chosen), right="spans bars size")


def _row(series: "CachedSeries") -> tuple[object, ...]:
    from rustybt.cli._sizes import age, written

    return (
        series.source,
        series.symbol,
        series.frequency,
        _label(series.first),
        _label(series.last),
        series.spans,
        f"{series.rows:,}",
        written(series.bytes),
        age(series.fetched) + (", may be revised" if series.provisional else ""),
    )


def _label(moment: Any) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}".removesuffix(" 00:00")


@cache.command()
@_directory
@json_option
def verify(cache_dir: str | None, as_json: bool) -> None:
    """Read every file of the cache; what is damaged is forgotten and will be fetched again."""
    from rustybt.cli._outcome import fail
    from rustybt.cli._output import count, print_json, say
    from rustybt.data.sources.cache_directory import CacheDirectory

    directory = CacheDirectory(cache_dir)
    files = directory.summary().segments
    found = directory.verify()
    if as_json:
        print_json({"files": files, "damaged": found})
    elif not found:
        say(f"{count(files, 'file')}: every byte is what was written.")
    if found:
        fail("\n".join(found))


@cache.command()
@click.option("--max-size", type=Size(), help="Keep so much of what was used last: 500MB, 2GB.")
@click.option("--before", type=Moment(), help="Drop files that were written before.")
@_directory
@json_option
def prune(max_size: int | None, before: Any, cache_dir: str | None, as_json: bool) -> None:
    """Make room, and remove what killed processes left."""
    from rustybt.data.sources.cache_directory import CacheDirectory

    _say_freed(CacheDirectory(cache_dir).prune(max_size, before), as_json)


@cache.command()
@click.option("--source", help="Only what is cached of this source.")
@click.option("--symbols", type=NameList(), help="Only what is cached of these symbols.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_directory
@json_option
def clear(
    source: str | None,
    symbols: tuple[str, ...] | None,
    yes: bool,
    cache_dir: str | None,
    as_json: bool,
) -> None:
    """Forget what is cached: all of it, or of a source or of symbols."""
    from rustybt.data.sources.cache_directory import CacheDirectory

    directory = CacheDirectory(cache_dir)
    if not yes:
        what = "everything" if source is None and symbols is None else "it"
        click.confirm(f"Forget {what} in {directory.path}?", abort=True, err=True)
    _say_freed(directory.clear(source, symbols), as_json)


@cache.command(hidden=True, deprecated=True)
@click.option("--max-size", type=Size(), help="Keep so much of what was used last.")
@_directory
@json_option
def clean(max_size: int | None, cache_dir: str | None, as_json: bool) -> None:
    """The old name of prune, with a size, and of clear, without; it goes in v2.0."""
    from rustybt.data.sources.cache_directory import CacheDirectory

    directory = CacheDirectory(cache_dir)
    freed = directory.clear() if max_size is None else directory.prune(max_size)
    _say_freed(freed, as_json)


def _say_freed(freed: int, as_json: bool) -> None:
    from rustybt.cli._output import print_json, say
    from rustybt.cli._sizes import written

    if as_json:
        print_json({"freed_bytes": freed})
    else:
        say(f"{written(freed)} freed.")


def _of_a_source(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a source, its options, and a range of bars."""
    options = (
        click.argument("source"),
        click.option(
            "--option",
            "options",
            type=KeyValue(),
            multiple=True,
            help="Configuration of the source; may be repeated.",
        ),
        click.option("--symbols", type=NameList(), required=True, help="Symbols to fetch."),
        click.option("--start", type=Moment(), required=True, help="First session."),
        click.option("--end", type=Moment(), required=True, help="Last session."),
        click.option("--frequency", default="1d", show_default=True, help="Length of the bars."),
        _directory,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@cache.command()
@_of_a_source
def warm(source: str, options: Any, cache_dir: str | None, as_json: bool, **request: Any) -> None:
    """Fetch what is missing of a range, so that it is there when it is needed."""
    from rustybt.cli._outcome import fail
    from rustybt.cli._output import count, print_json, say
    from rustybt.data._sync import run

    cached = _cached(source, options, cache_dir)
    failures = run(cached.warm(list(request.pop("symbols")), **request))
    cached.close()
    counted = cached.stats
    if as_json:
        texts = {symbol: str(error) for symbol, error in failures.items()}
        print_json({**asdict(counted), "failed": texts})
    else:
        say(
            f"{count(counted.rows_fetched, 'bar')} fetched, {counted.rows_from_cache:,} were there."
        )
    if failures:
        fail("\n".join(f"{symbol}: {error}" for symbol, error in failures.items()))


def _cached(source: str, options: Any, cache_dir: str | None) -> "CachedDataSource":
    from rustybt.cli.ingest.generic import configuration
    from rustybt.data.sources import CachedDataSource, DataSourceRegistry

    config = configuration(DataSourceRegistry.get_class(source), dict(options))
    return CachedDataSource(DataSourceRegistry.get_source(source, **config), cache_dir)


@cache.command()
@click.option("--symbols", type=NameList(), help="Only of these symbols.")
@_directory
@json_option
def restatements(symbols: tuple[str, ...] | None, cache_dir: str | None, as_json: bool) -> None:
    """List final bars that a source gave with other values later.

    They are noticed when a range is asked for again, as CachedDataSource.revalidate does.
    """
    from rustybt.cli._output import print_json, say, table
    from rustybt.data.sources.cache_directory import CacheDirectory

    directory = CacheDirectory(cache_dir)
    found = [each for each in directory.restatements() if symbols is None or each.symbol in symbols]
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        say(f"No restatement was noticed in {directory.path}.")
    else:
        rows = [
            (
                each.source,
                each.symbol,
                each.frequency,
                _label(each.timestamp),
                *change,
                each.noticed,
            )
            for each in found
            for change in _changes(each.old, each.new)
        ]
        table(("source", "symbol", "freq.", "bar", "field", "old", "new", "noticed"), rows)


def _changes(old: dict[str, float] | None, new: dict[str, float] | None) -> list[tuple[Any, ...]]:
    """(field, old, new) of each value that changed; a bar that came or went is one."""
    if old is None or new is None:
        return [("bar", "none" if old is None else "there", "none" if new is None else "there")]
    return [(name, old[name], new[name]) for name in old if old[name] != new[name]]
