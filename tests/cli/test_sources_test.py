"""``rustybt sources test``: one request, and a verdict."""

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result

from rustybt.data.errors import (
    AuthenticationError,
    DelistedSymbolError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    SourceError,
    UnknownSymbolError,
)
from rustybt.data.sources._probe import verdict
from rustybt.data.sources.testing import Fault, Injection, LoopbackServer, Reply, make_world
from tests.cli.helpers import Invoke
from tests.data.sources.massive_provider import MassiveProvider

NEW_YORK = ZoneInfo("America/New_York")


class Today(MassiveProvider):
    """Has a bar on the first day that is asked for, except of NONE and NOSUCH."""

    def aggregates(self, request, symbol, step, dates):
        day = datetime.combine(date.fromisoformat(dates[0]), datetime.min.time(), NEW_YORK)
        bar = {"o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "v": 100.0}
        rows = [{"t": int(day.timestamp() * 1000), **bar}]
        return Reply.of_json({"status": "OK", "results": [] if symbol.startswith("NO") else rows})

    def tickers(self, request):
        known = request.query["ticker"] == "NONE" and request.query["active"] == "true"
        return Reply.of_json({"status": "OK", "results": [{"ticker": "NONE"}] * known})


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(Today(make_world(["AAPL", "TWTR"]))) as running:
        yield running


@pytest.fixture
def tried(invoke: Invoke, server: LoopbackServer) -> Callable[..., Result]:
    """Run the command against the server."""
    options = {"api_key": MassiveProvider.secret, "base_url": server.base_url}
    given = [word for name, value in options.items() for word in ("--option", f"{name}={value}")]
    return lambda *args: invoke("sources", "test", "massive", *given, *args)


def test_it_says_what_it_got(tried: Callable[..., Result], server: LoopbackServer) -> None:
    done = tried()
    assert done.exit_code == 0
    assert "1 bar of AAPL, 1d" in done.stdout
    assert len(server.calls) == 1


def test_it_says_so_as_json(tried: Callable[..., Result]) -> None:
    told = json.loads(tried("--symbol", "KO", "--json").stdout)
    assert (told["source"], told["symbol"], told["bars"]) == ("massive", "KO", 1)
    assert told["first"] == told["last"]


def test_a_symbol_without_bars_is_an_answer(tried: Callable[..., Result]) -> None:
    done = tried("--symbol", "NONE")
    assert done.exit_code == 0
    assert "no bars in the range asked for" in done.stdout


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.UNAUTHORISED, "its credentials are missing, or it refuses them"),
        (Fault.RETRY_TOMORROW, "it answers, and asks to wait"),
        (Fault.ERROR_BODY, "it answers, and refuses the request"),
    ],
)
def test_each_failure_has_its_verdict(
    tried: Callable[..., Result], server: LoopbackServer, fault: Fault, said: str
) -> None:
    server.faults = [Injection(fault)]
    done = tried()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: source massive failed the test: {said}.\nMassive (")
    assert MassiveProvider.secret not in done.stderr


def test_an_unknown_symbol_is_no_failure_of_the_provider(tried: Callable[..., Result]) -> None:
    done = tried("--symbol", "NOSUCH")
    assert done.exit_code == 1
    assert "it answers, and has no such symbol.\nMassive has no symbol NOSUCH." in done.stderr


def test_a_source_of_files_is_read(invoke: Invoke, prices: object) -> None:
    done = invoke("sources", "test", "csv", "--option", f"path={prices}")
    assert done.exit_code == 0
    assert "40 bars of AAA, 1d" in done.stdout


def test_an_unknown_source_names_the_known_ones(invoke: Invoke) -> None:
    done = invoke("sources", "test", "nope")
    assert done.exit_code == 1
    assert "there is no data source 'nope'; there are:" in done.stderr


def test_what_the_source_cannot_be_told_is_a_mistake_of_typing(invoke: Invoke) -> None:
    assert invoke("sources", "test", "massive", "--option", "colour=red").exit_code == 2


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("x"),
        RateLimitError("x"),
        OutageError("x"),
        MalformedAnswerError("x"),
        UnknownSymbolError(["x"], "y"),
        DelistedSymbolError("x"),
        RefusedRequestError("x"),
        SourceError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_two_kinds_of_failure_have_one_verdict(error: RustyBTError) -> None:
    others = [AuthenticationError, RateLimitError, OutageError, MalformedAnswerError]
    told = {verdict(kind("x")) for kind in others if not isinstance(error, kind)}
    assert verdict(error) not in told
