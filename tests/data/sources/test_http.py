"""The HTTP layer against a loopback server: errors told apart, repeats, pauses, secrets."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    UnknownSymbolError,
)
from rustybt.data.sources._budget import Budget
from rustybt.data.sources._http import Http, Retries
from tests.clocks import SkippingClock
from tests.data.sources.answers import answering, in_turn, ok

AT_ONCE = Retries(attempts=3, wait_initial=0, wait_jitter=0)
KEY = "k3y-of-the-user"


@pytest.fixture
def ask(tmp_path):
    """Ask a server that gives these answers; returns the answer and what the server saw."""

    def asked(reply, target="/path", query=None, judge=None, **options):
        budget = options.pop("budget", None) or Budget("test", directory=tmp_path)

        async def run():
            async with answering(reply) as server:
                options.setdefault("retries", AT_ONCE)
                http = Http("test", server.base_url, budget=budget, **options)
                async with http.session() as session:
                    try:
                        return await session.get(target, query, judge=judge), server
                    except Exception as error:
                        error.server = server
                        raise

        return asyncio.run(run())

    return asked


def test_an_answer_is_whole(ask):
    answer, server = ask(in_turn(ok(b'{"a": 1}', Any="thing")), query={"q": "x y"})
    assert (answer.status, answer.json(), answer.headers["any"]) == (200, {"a": 1}, "thing")
    assert server.targets == ["/path?q=x+y"]


@pytest.mark.parametrize(
    ("reply", "error", "times"),
    [
        ((401, {}, b""), AuthenticationError, 1),
        ((403, {}, b""), AuthenticationError, 1),
        ((404, {}, b"what?"), RefusedRequestError, 1),
        ((302, {"Location": "/other"}, b""), MalformedAnswerError, 3),
        ((429, {}, b""), RateLimitError, 3),
        ((418, {}, b""), RateLimitError, 3),
        ((429, {"Retry-After": "86400"}, b""), RateLimitError, 1),
        ((429, {"Retry-After": "soon"}, b""), RateLimitError, 3),
        ((408, {}, b""), OutageError, 3),
        ((500, {}, b""), OutageError, 3),
        ((503, {}, b"<html>"), OutageError, 3),
        ((200, {"Content-Length": "99"}, b'{"cut":'), OutageError, 3),
        ((200, {"Content-Encoding": "gzip"}, b"not gzip"), MalformedAnswerError, 3),
    ],
)  # fmt: skip
def test_each_failure_is_an_error_of_its_own(ask, reply, error, times):
    with pytest.raises(error, match="test") as caught:
        ask(in_turn(reply))
    assert type(caught.value) is error
    assert len(caught.value.server.targets) == times


@pytest.mark.parametrize(
    "bad", [(500, {}, b""), (429, {}, b""), (200, {"Content-Length": "9"}, b"x")]
)
def test_a_passing_failure_is_not_seen(ask, bad):
    answer, server = ask(in_turn(bad, bad, ok(b'"at last"')))
    assert answer.json() == "at last"
    assert len(server.targets) == 3


#: Where a provider may send the credentials back, or a person may read them.
TELLTALES = [
    (401, {}, f"bad key {KEY}".encode()),
    (400, {}, f"bad key {KEY}".encode()),
    (500, {}, KEY.encode()),
    (200, {}, f"no JSON, {KEY}".encode()),
    (200, {"Content-Length": "99"}, b"cut"),
]


@pytest.mark.parametrize(
    "secrets", [{"params": {"key": KEY}}, {"headers": {"Auth": f"Bearer {KEY}"}}]
)
@pytest.mark.parametrize("reply", TELLTALES)
def test_credentials_stand_in_no_error_and_no_log(ask, caplog, secrets, reply):
    caplog.set_level("DEBUG")
    with pytest.raises(RustyBTError) as caught:
        ask(in_turn(reply), judge=lambda answer: answer.json() and None, **secrets)
    server = caught.value.server
    assert KEY in server.heads[0]
    told = [caplog.text, str(caught.value), repr(caught.value), repr(caught.value.__context__)]
    assert KEY not in "".join(told)
    assert "/path" in caplog.text


def test_credentials_stand_in_no_repr(tmp_path):
    http = Http("test", "http://127.0.0.1:9", budget=Budget("test", credential=KEY),
                headers={"a": KEY}, params={"b": KEY})  # fmt: skip
    assert KEY not in repr(http) + repr(http.budget) + str(http.budget.path)


def test_a_next_page_elsewhere_is_asked_of_our_host_with_our_credentials(tmp_path):
    next_page = "https://other.example/v3/list?cursor=abc%3D&key=theirs"

    async def run():
        async with answering(in_turn(ok())) as server:
            budget = Budget("test", directory=tmp_path)
            http = Http("test", server.base_url, budget=budget, params={"key": KEY})
            async with http.session() as session:
                await session.get(next_page)
            return server.targets

    assert asyncio.run(run()) == [f"/v3/list?cursor=abc%3D&key={KEY}"]


def test_a_judge_reads_error_bodies_with_status_200(ask):
    def judge(answer):
        return UnknownSymbolError(["X"], f"test {KEY}") if "error" in answer.json() else None

    with pytest.raises(UnknownSymbolError, match=r"test \*\*\* has no symbol X"):
        ask(in_turn(ok(b'{"error": 1}')), judge=judge, headers={"a": KEY})
    assert ask(in_turn(ok(b'{"fine": 1}')), judge=judge)[0].json() == {"fine": 1}


START = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("asked", ["30", "Tue, 02 Jan 2024 00:00:30 GMT"])
@pytest.mark.parametrize("status", [429, 418, 503])
def test_retry_after_is_waited_for(ask, tmp_path, asked, status):
    time = SkippingClock(START)
    budget = Budget("test", directory=tmp_path, clock=time, sleep=time.sleep)
    reply = in_turn((status, {"Retry-After": asked}, b""), ok(b"[]"))
    answer, _ = ask(reply, budget=budget, clock=time)
    assert answer.json() == []
    assert time.slept == pytest.approx([30])


def test_a_pause_beyond_patience_is_told(ask, tmp_path):
    time = SkippingClock(START)
    budget = Budget("test", directory=tmp_path, clock=time, sleep=time.sleep)
    for _ in range(2):  # the second time without asking
        with pytest.raises(RateLimitError) as caught:
            ask(in_turn((429, {"Retry-After": "600"}, b"")), budget=budget, clock=time)
        assert caught.value.retry_after == pytest.approx(600)
    assert caught.value.server.targets == []
    assert "2024-01-02 00:10:00 UTC" in str(caught.value)
    assert time.slept == []


def test_a_host_that_keeps_failing_is_left_alone_for_a_while(tmp_path):
    time = SkippingClock(START)
    broken = [(500, {}, b"")] * 18

    async def run():
        async with answering(in_turn(*broken, ok())) as server:
            http = Http("test", server.base_url, budget=Budget("t", directory=tmp_path),
                        retries=AT_ONCE, clock=time)  # fmt: skip
            async with http.session() as session:

                async def times(count):
                    said = []
                    for _ in range(count):
                        try:
                            await session.get("/")
                        except OutageError as error:
                            said.append(str(error))
                    return said

                said = await times(7)
                assert len(server.targets) == 15
                assert "not asked again before 2024-01-02 00:00:30 UTC" in said[-1]
                time.now += timedelta(seconds=31)
                assert len(await times(2)) == 2
                assert len(server.targets) == 18
                time.now += timedelta(seconds=31)
                assert await times(3) == []
                assert len(server.targets) == 21

    asyncio.run(run())


def test_a_dead_host_is_an_outage(tmp_path):
    async def run():
        http = Http(
            "test", "http://127.0.0.1:9", budget=Budget("t", directory=tmp_path), retries=AT_ONCE
        )
        async with http.session() as session:
            await session.get("/")

    with pytest.raises(OutageError, match=r"test \(127.0.0.1:9/\) did not answer: ConnectError"):
        asyncio.run(run())


@pytest.mark.parametrize("limits", [{"timeout": 0.05}, {"deadline": 0.05}])
def test_a_slow_answer_is_an_outage(tmp_path, limits):
    async def run():
        silent = asyncio.Event()

        async def serve(reader, writer):
            await silent.wait()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            budget = Budget("t", directory=tmp_path)
            http = Http("test", url, budget=budget, retries=AT_ONCE, **limits)
            async with http.session() as session:
                try:
                    await session.get("/")
                finally:
                    silent.set()

    with pytest.raises(OutageError, match="Timeout"):
        asyncio.run(run())
