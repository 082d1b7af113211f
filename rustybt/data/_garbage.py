"""What lives long, kept out of the garbage collector's way.

A collector that looks through hundreds of thousands of imported objects, and through the results of
a run, which are many and all stay, takes a tenth of a run to find that all are in use.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Passes over the middle generation between two over everything, during a run.
_BETWEEN = 1000


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect nothing inside, and count what it leaves as old: what an import makes stays."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        with set_aside():
            pass
        if collects:
            gc.enable()


@contextmanager
def set_aside() -> Iterator[None]:
    """Leave what there is already out of collections inside; it is old afterwards.

    Nothing happens where the process has set objects aside itself (`gc.freeze`).
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
