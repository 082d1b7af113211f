"""What lives long, kept out of the garbage collector's way.

A collector that looks through hundreds of thousands of imported objects takes a tenth of a run,
to find that all are in use.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
