"""Run a coroutine from synchronous code."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result.

    Also works where an event loop is already running, as in a notebook: the coroutine then
    gets a loop and a thread of its own, and the caller's thread waits for it.
    """
    if not _loop_is_running():
        return asyncio.run(coroutine)
    future: Future[T] = Future()
    thread = threading.Thread(target=_settle, args=(future, coroutine), name="rustybt-sync")
    thread.start()
    thread.join()
    return future.result()


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _settle(future: "Future[T]", coroutine: Coroutine[Any, Any, T]) -> None:
    try:
        future.set_result(asyncio.run(coroutine))
    except BaseException as error:  # noqa: BLE001  handed to the waiting caller, who raises it
        future.set_exception(error)
