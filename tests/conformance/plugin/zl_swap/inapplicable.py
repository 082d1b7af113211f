"""Tests that cannot apply, each with the reason."""

import fnmatch
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Inapplicable:
    """A pattern of test ids and why they cannot apply."""

    pattern: str
    reason: str

    @property
    def module(self) -> str:
        """The test module that it names."""
        return self.pattern.partition("::")[0]

    def matches(self, test: str) -> bool:
        """Whether it names this test."""
        return fnmatch.fnmatchcase(test, self.pattern)


def read_inapplicable(path: Path, precision: str | None) -> list[Inapplicable]:
    """Read the groups of the file that hold for a precision.

    A group has `tests` (ids or patterns), a `reason`, and, where it holds for one precision
    only, `precision`.
    """
    groups = tomllib.loads(path.read_text())["group"]
    return [
        Inapplicable(pattern, group["reason"])
        for group in groups
        if group.get("precision", precision) == precision
        for pattern in group["tests"]
    ]


def stale(entries: Iterable[Inapplicable], modules: set[str], tests: Iterable[str]) -> list[str]:
    """Patterns about `modules` that match none of their tests: the list is out of date."""
    known = list(tests)
    return [
        entry.pattern
        for entry in entries
        if entry.module in modules and not any(entry.matches(test) for test in known)
    ]
