"""How old names warn: on use, once a call site, at the caller's line.

Python's default filter shows a warning once for each line that causes it.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import deprecation

SINCE, REMOVED = "1.0", "v2.0"

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])


def warn(what: str, instead: str, stacklevel: int = 3) -> None:
    """Warn of an old name.

    Parameters
    ----------
    what, instead : str
        The old name, and what to use.
    stacklevel : int
        1 for the caller of this function, 2 for its caller, ...
    """
    details = f"Use {instead} instead; see docs/old-names.md."
    warnings.warn(
        deprecation.DeprecatedWarning(what, SINCE, REMOVED, details), stacklevel=stacklevel
    )


def deprecated(instead: str) -> Callable[[F], F]:
    """Make a function warn when it is called."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def called(*arguments: Any, **named: Any) -> Any:
            warn(function.__name__, instead)
            return function(*arguments, **named)

        return called  # type: ignore[return-value]

    return decorate


def deprecated_class(instead: str) -> Callable[[C], C]:
    """Make a class warn when it is called; a subclass then names itself."""

    def decorate(cls: C) -> C:
        original = cls.__init__  # type: ignore[misc]

        @functools.wraps(original)
        def __init__(self: Any, *arguments: Any, **named: Any) -> None:  # noqa: N807
            warn(cls.__name__, instead)
            original(self, *arguments, **named)

        cls.__init__ = __init__  # type: ignore[misc]
        return cls

    return decorate
