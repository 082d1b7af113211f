"""One fetch in flight a series, across tasks, threads and processes."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path

from filelock import AsyncFileLock

from rustybt.data.sources._store import warn

#: Locks of a directory, as few as a process may have files open many times over.
_LOCKS = 64
#: Seconds between two tries of a waiting task; the loop is free meanwhile.
_POLL = 0.01
#: How many fetches the running one is part of: a cache may stand in front of sources with caches.
_DEPTH: ContextVar[int] = ContextVar("depth", default=0)


@asynccontextmanager
async def single_flight(directory: Path, keys: Iterable[str]) -> AsyncIterator[None]:
    """Wait until nobody else fetches one of `keys`, and let nobody begin while the body runs.

    A process that is killed gives its locks back. Where no lock can be had, because the directory
    cannot be written to, the body runs without, with a `CacheWarning`.

    Parameters
    ----------
    directory : pathlib.Path
        Of the lock files.
    keys : iterable of str
        What will be fetched. Different keys may share a lock.
    """
    # In one order for everybody, so that no two wait for each other.
    shards = sorted({zlib.crc32(key.encode()) % _LOCKS for key in keys})
    # An inner fetch has locks of its own, which no outer one can hold: none waits for itself.
    depth = _DEPTH.get()
    prefix = f"{depth}-" if depth else ""
    async with AsyncExitStack() as stack:
        try:
            await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
            for shard in shards:
                path = directory / f"{prefix}{shard:02d}.lock"
                lock = AsyncFileLock(path, poll_interval=_POLL, run_in_executor=False)
                await stack.enter_async_context(lock)
        except OSError as error:
            warn(f"the cache in {directory.parent} cannot be locked: {error}")
        inside = _DEPTH.set(depth + 1)
        try:
            yield
        finally:
            _DEPTH.reset(inside)
