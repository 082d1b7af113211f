"""Which segments of a cache are in use, told to all processes that share its directory.

A byte of one empty file stands for each segment: whoever reads it holds a shared lock on that byte,
and whoever wants to evict it an exclusive one. The locks are those of open files (``F_OFD_SETLK``),
which other threads and other caches of a process do not share, and which end with it. On systems
and file systems without them a segment that another process reads may be evicted: it is then a
miss, and is fetched again.
"""

import fcntl
import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: ``struct flock`` of 64-bit Linux: type, whence, start, length, and a process id that is 0.
_FLOCK = "hhqqi4x"
_IS_KNOWN = sys.platform == "linux" and sys.maxsize > 1 << 32
_SET = getattr(fcntl, "F_OFD_SETLK", None) if _IS_KNOWN else None


class Uses:
    """Segments in use below one directory.

    Parameters
    ----------
    file : pathlib.Path
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def reading(self, segments: Iterable[int]) -> Iterator[None]:
        """Keep segments from being evicted while the body runs.

        One that is being evicted at this moment is not kept: its file is gone soon, or already.
        """
        with self._opened() as descriptor:
            for first, length in _runs(segments):
                if not _try(descriptor, fcntl.F_RDLCK, first, length):
                    for segment in range(first, first + length):
                        _try(descriptor, fcntl.F_RDLCK, segment, 1)
            yield

    @contextmanager
    def evicting(self) -> Iterator[Callable[[int], bool]]:
        """Gives what says whether nobody reads a segment; nobody begins to while the body runs."""
        with self._opened() as descriptor:
            yield lambda segment: _try(descriptor, fcntl.F_WRLCK, segment, 1)

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:  # a directory that is only read
            yield None
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _try(descriptor: int | None, kind: int, first: int, length: int) -> bool:
    """Whether a lock was had, or none can be had here at all."""
    if descriptor is None or _SET is None:
        return True
    try:
        fcntl.fcntl(descriptor, _SET, struct.pack(_FLOCK, kind, os.SEEK_SET, first, length, 0))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _runs(segments: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First number and length of each run of numbers that follow each other."""
    first = last = None
    for segment in sorted(segments):
        if last is not None and first is not None and segment > last + 1:
            yield first, last - first + 1
            first = None
        first = segment if first is None else first
        last = segment
    if first is not None and last is not None:
        yield first, last - first + 1
