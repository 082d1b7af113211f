"""Counts of what was constructed: the replacements, and originals that slipped through."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """What was constructed, and by which test.

    Attributes
    ----------
    constructions : Counter
        Role to how often its replacement was constructed (or its original where nothing
        replaces it), subclasses included. For the bundle core: calls of its functions.
    leaks : dict of str to Counter
        Role to the tests that constructed an original although it is replaced.
    test : str
        The running test.
    """

    constructions: Counter[str] = field(default_factory=Counter)
    leaks: dict[str, Counter[str]] = field(default_factory=dict)
    test: str = "<import>"
    _suspended: bool = False

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Count no leaks: a conversion reads the original's format with the original."""
        before, self._suspended = self._suspended, True
        try:
            yield
        finally:
            self._suspended = before

    def count(self, role: str) -> None:
        """One more construction."""
        self.constructions[role] += 1

    def watch(self, role: str, cls: type[Any]) -> None:
        """Count constructions of `cls` and its subclasses."""
        _before_init(cls, lambda made: self.count(role))

    def forbid(self, role: str, original: type[Any], *, trip: bool) -> None:
        """Count (or, with `trip`, refuse) constructions of exactly `original`."""

        def leak(made: object) -> None:
            if type(made) is not original or self._suspended:
                return
            self.leaks.setdefault(role, Counter())[self.test] += 1
            if trip:
                raise AssertionError(f"the original {original.__name__} was constructed")

        _before_init(original, leak)


def _before_init(cls: type[Any], note: Callable[[object], None]) -> None:
    init = cls.__init__

    @functools.wraps(init)
    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        note(self)
        init(self, *args, **kwargs)

    cls.__init__ = noted
