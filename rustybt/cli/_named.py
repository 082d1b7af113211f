"""What the text of an algorithm names: symbols, a benchmark, windows. It is read, not run."""

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

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
    windows : dict of str to int
        Frequency -> the longest ``data.history`` of it.
    unknown : int
        How many symbols and windows are computed when it runs.
    """

    symbols: list[str] = field(default_factory=list)
    benchmark: str | None = None
    windows: dict[str, int] = field(default_factory=dict)
    unknown: int = 0


def named_in(text: str) -> Named:
    """What the text names, literally or by a name that it gives a constant once.

    Raises
    ------
    SyntaxError
        If it is no Python.
    """
    tree = ast.parse(text)
    reader = _Reader(_constants(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            reader.read(node)
    found = reader.found
    found.symbols = [s for s in dict.fromkeys(found.symbols) if s != found.benchmark]
    return found


def _constants(tree: ast.AST) -> dict[str, Any]:
    """Names (``N``, ``context.n``) that are assigned once, and a constant."""
    given: dict[str, list[ast.expr]] = defaultdict(list)
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    given[ast.unparse(target)].append(value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                given[ast.unparse(target)].append(value)
            case ast.AugAssign(target=target, value=value):
                given[ast.unparse(target)] += [value, value]
    return {name: values[0] for name, values in given.items() if len(values) == 1}


class _Reader:
    def __init__(self, constants: dict[str, Any]) -> None:
        self.found = Named()
        self._constants = constants

    def read(self, call: ast.Call) -> None:
        """Note what a call names, if it is one of zipline's."""
        called = call.func.attr if isinstance(call.func, ast.Attribute) else None
        called = called or getattr(call.func, "id", "")
        if called in _LOOKUPS:
            self.found.symbols += self._texts(call.args)
        elif called == "set_benchmark" and call.args and isinstance(call.args[0], ast.Call):
            self.found.benchmark = next(iter(self._texts(call.args[0].args)), None)
        elif called == "history":
            self._window(call)

    def _texts(self, nodes: list[ast.expr]) -> list[str]:
        texts: list[str] = []
        for node in nodes:
            value = self._value(node.value if isinstance(node, ast.Starred) else node)
            listed = value if isinstance(value, list | tuple | set) else [value]
            known = [each for each in listed if isinstance(each, str)]
            self.found.unknown += len(known) < len(listed)
            texts += known
        return texts

    def _window(self, call: ast.Call) -> None:
        """Note a ``data.history(assets, fields, bar_count, frequency)``."""
        given = dict(zip(("assets", "fields", "bar_count", "frequency"), call.args, strict=False))
        given |= {word.arg: word.value for word in call.keywords if word.arg}
        count, frequency = (
            self._value(given[name]) if name in given else None
            for name in ("bar_count", "frequency")
        )
        if isinstance(count, int) and isinstance(frequency, str):
            known = self.found.windows
            known[frequency] = max(known.get(frequency, 0), count)
        else:
            self.found.unknown += 1

    def _value(self, node: ast.expr) -> Any:
        """The constant that is written or named; None if it is neither."""
        named = self._constants.get(ast.unparse(node))
        try:
            return ast.literal_eval(node if named is None else named)
        except ValueError:
            return None
