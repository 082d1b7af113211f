"""Does an algorithm fit a bundle? Its text is read, not run."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rustybt.cli._checks import Check

if TYPE_CHECKING:
    from rustybt.data.bundles.bundle import Bundle

_LOOKUPS = {"symbol", "symbols"}


@dataclass
class Named:
    """What the text of an algorithm names.

    Attributes
    ----------
    symbols : list of str
        In ``symbol("AAPL")`` and ``symbols(...)``, but for the benchmark.
    benchmark : str or None
        In ``set_benchmark(symbol("SPY"))``.
    window : int
        The longest ``data.history`` of daily bars that is written as a number.
    """

    symbols: list[str] = field(default_factory=list)
    benchmark: str | None = None
    window: int = 0


def named_in(text: str) -> Named:
    """What the text of an algorithm names literally; what it computes is not known."""
    found = Named()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        if called in _LOOKUPS:
            found.symbols += _texts(node.args)
        elif called == "set_benchmark" and node.args and isinstance(node.args[0], ast.Call):
            found.benchmark = next(iter(_texts(node.args[0].args)), None)
        elif called == "history":
            found.window = max(found.window, _window(node))
    found.symbols = [s for s in dict.fromkeys(found.symbols) if s != found.benchmark]
    return found


def _texts(nodes: list[ast.expr]) -> list[str]:
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _window(call: ast.Call) -> int:
    """Sessions of a ``data.history(assets, fields, bar_count, frequency)``; 0 if not a number."""
    given = dict(zip(("assets", "fields", "bar_count", "frequency"), call.args, strict=False))
    given |= {word.arg: word.value for word in call.keywords if word.arg}
    count, frequency = given.get("bar_count"), given.get("frequency")
    daily = isinstance(frequency, ast.Constant) and frequency.value == "1d"
    if daily and isinstance(count, ast.Constant) and isinstance(count.value, int):
        return count.value
    return 0


def of_bundle(name: str, algofile: str | None, start: Any, end: Any) -> Iterator[Check]:
    """Whether a bundle has what an algorithm names."""
    from rustybt.cli._output import count
    from rustybt.data.bundles.bundle import open_bundle

    bundle = open_bundle(name)
    record = bundle.metadata
    span = f"{record.start_date.date()} to {record.end_date.date()}"
    yield Check("bundle", "good", f"{name}: {count(len(record.symbols), 'symbol')}, {span}")
    found = named_in(Path(algofile).read_text()) if algofile is not None else Named()
    yield from _symbols(bundle, found)
    yield from _dates(bundle, found, start, end)


def _symbols(bundle: "Bundle", found: Named) -> Iterator[Check]:
    known = set(bundle.assets["symbol"])
    if found.symbols:
        missing = [symbol for symbol in found.symbols if symbol not in known]
        if missing:
            yield Check("symbols", "wrong", f"not in the bundle: {', '.join(missing)}")
        else:
            yield Check("symbols", "good", f"all {len(found.symbols)} are there")
    if found.benchmark is not None:
        there = found.benchmark in known
        text = f"{found.benchmark} is {'' if there else 'not '}in the bundle"
        yield Check("benchmark", "good" if there else "wrong", text)


def _dates(bundle: "Bundle", found: Named, start: Any, end: Any) -> Iterator[Check]:
    from rustybt.data.calendars import load_calendar

    record = bundle.metadata
    first, last = (edge.date() for edge in record.bounds)
    if end is not None and end.date() > last:
        yield Check("dates", "wrong", f"the bundle ends on {last}, before {end.date()}")
    if start is None:
        return
    if start.date() < first:
        yield Check("dates", "wrong", f"the bundle begins on {first}, after {start.date()}")
    elif found.window:
        sessions = load_calendar(record.calendar, first, last).sessions_between(first, start.date())
        enough = len(sessions) >= found.window
        text = f"{len(sessions)} sessions up to the first day, windows of up to {found.window}"
        hint = "" if enough else "; until then they begin with gaps"
        yield Check("warm-up", "good" if enough else "wrong", text + hint)
