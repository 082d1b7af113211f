"""One writer a bundle, who says who it is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rustybt.data.errors import BundleLockedError

_DIRECTORY = ".locks"


@contextmanager
def locked(bundle: Path, what: str, prefix: str = "") -> Iterator[None]:
    """Be the only one who does something to a bundle.

    Parameters
    ----------
    bundle : pathlib.Path
        Its directory, whether it exists or not.
    what : str
        For the message: ``bundle 'x' is being written``.
    prefix : str
        Tells apart what may be done at the same time. It begins with a dot, as no bundle's name
        does.

    Raises
    ------
    BundleLockedError
        If another process is doing it.
    """
    locks = bundle.parent / _DIRECTORY
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{prefix}{bundle.name}.lock", timeout=0)
    holder = locks / f"{prefix}{bundle.name}.holder"
    try:
        lock.acquire()
    except Timeout:
        by = holder.read_text() if holder.exists() else "another process"
        raise BundleLockedError(f"{what} by {by}; wait for it to end, or stop it") from None
    with lock:
        holder.write_text(f"process {os.getpid()} on {os.uname().nodename}")
        yield
