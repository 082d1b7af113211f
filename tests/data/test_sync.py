"""Running a coroutine from synchronous code."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from rustybt.data import _sync

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


async def answer(value=42):
    await asyncio.sleep(0)
    return value


async def fail(error):
    await asyncio.sleep(0)
    raise error


def test_a_result_comes_back():
    assert _sync.run(answer()) == 42


def test_it_works_inside_a_running_loop():
    async def outer():
        return _sync.run(answer("inner")), await answer("outer")

    assert asyncio.run(outer()) == ("inner", "outer")


def test_it_works_inside_itself():
    async def outer():
        return _sync.run(answer())

    assert _sync.run(outer()) == 42


class StopEverything(BaseException):
    """Not an Exception, as an interrupt is not."""


@pytest.mark.parametrize("error", [ValueError("wrong"), StopEverything("now")], ids=repr)
@pytest.mark.parametrize("inside", [False, True], ids=["no loop", "in a loop"])
def test_an_exception_reaches_the_caller_as_it_is(error, inside):
    async def outer():
        return _sync.run(fail(error))

    with pytest.raises(type(error)) as caught:
        asyncio.run(outer()) if inside else _sync.run(fail(error))
    assert caught.value is error


@pytest.mark.parametrize("inside", [False, True], ids=["no loop", "in a loop"])
def test_a_cancelled_coroutine_is_not_a_result(inside):
    async def outer():
        return _sync.run(fail(asyncio.CancelledError()))

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(outer()) if inside else _sync.run(fail(asyncio.CancelledError()))


@pytest.mark.parametrize("inside", [False, True], ids=["no loop", "in a loop"])
def test_nothing_stays_behind(inside):
    async def outer():
        return _sync.run(answer())

    before = threading.active_count()
    asyncio.run(outer()) if inside else _sync.run(answer())
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_many_threads_may_run_at_the_same_time():
    results = []
    threads = [
        threading.Thread(target=lambda at=at: results.append(_sync.run(answer(at))))
        for at in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(20))
