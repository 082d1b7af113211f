"""Python's collector of garbage during a run, whose results are many objects that all stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Passes over the middle generation between two over everything.
_BETWEEN = 1000


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Look seldom at what has lived long: a fifth of a run with many orders goes there.

    Young garbage, cycles that hold arrays among it, is collected as often as ever. Nothing
    happens inside another run, nor beside one in another thread: that one gives back what it found.
    """
    young, middle, old = gc.get_threshold()
    if old >= _BETWEEN:
        yield
        return
    gc.set_threshold(young, middle, _BETWEEN)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
