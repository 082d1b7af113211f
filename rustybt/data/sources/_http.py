"""HTTP for adapters: one place for waiting, repeating, giving up, and keeping secrets.

An adapter describes its provider once, with `Http`, and asks through a session::

    http = Http("massive", "https://api.massive.com", budget=Budget("massive", [Rate(5, 60)]),
                headers={"Authorization": f"Bearer {key}"}, judge=read_error)
    async with http.session() as session:
        answer = await session.get("/v3/reference/splits", {"ticker": "AAPL"})
        rows = answer.json()["results"]

Each way in which a provider fails is an error of its own (`rustybt.data.errors`); outages, rate
limits and garbled answers are asked again first.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
import stamina

from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
)
from rustybt.data.sources._budget import Budget
from rustybt.data.sources._circuit import Circuit
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.data.sources._retries import Retries as Retries
from rustybt.data.sources._retry_after import retry_after
from rustybt.data.sources._trust import trusted

#: An adapter's own reading of an answer, also of one with status 200: its error, or None.
Judge = Callable[["Answer"], RustyBTError | None]


@dataclass(frozen=True)
class Answer:
    """What a provider answered.

    Attributes
    ----------
    status : int
    headers : mapping
        Names in any case.
    content : bytes
        The body, whole and decompressed.
    where : str
        Provider, host and path, for messages; no query and no credentials.
    excerpt : str
        The beginning of the body as text, without credentials, for messages.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    where: str
    excerpt: str = ""

    def json(self) -> Any:
        """The body as JSON; parsed once.

        Raises
        ------
        MalformedAnswerError
            If it is not JSON.
        """
        return self._parsed

    @cached_property
    def _parsed(self) -> Any:
        try:
            return json.loads(self.content, parse_constant=_refuse_constant)
        except ValueError as error:
            raise MalformedAnswerError(
                f"{self.where} answered {self.status} with {len(self.content)} bytes that are "
                f"not JSON ({error}): {self.excerpt!r}"
            ) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


class Http:
    """How a provider is asked.

    Parameters
    ----------
    provider : str
        Its name, for messages.
    base_url : str
        Scheme, host, and a path that all paths begin with.
    budget : Budget
        What it allows. Its `patience` is also the longest pause that is waited for.
    headers, params : mapping of str to str
        Sent with every request. They are taken to be credentials: they stand in no message, no
        repr and no log, and are sent to `base_url` only.
    judge : callable, optional
        Reads an answer before the usual reading of its status does.
    timeout : float
        Seconds to wait for a connection, and for each part of an answer.
    deadline : float
        Seconds to wait for a whole answer.
    connections : int
        How many to keep to the provider.
    retries : Retries
    clock : callable
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        budget: Budget,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        judge: Judge | None = None,
        timeout: float = 30.0,
        deadline: float = 120.0,
        connections: int = 16,
        retries: Retries | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.provider = provider
        self.base_url = httpx.URL(base_url.rstrip("/"))
        self.budget = budget
        self.judge = judge
        self.deadline = deadline
        self.retries = retries or Retries()
        self.clock = clock
        self.circuit = Circuit(self.base_url.netloc.decode(), clock=clock)
        self._headers = dict(headers or {})
        self._params = dict(params or {})
        self._timeout = httpx.Timeout(timeout, pool=None)
        self._limits = httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections
        )

    def __repr__(self) -> str:
        return f"Http({self.provider!r}, {str(self.base_url)!r})"

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """Connections that are kept open between requests, for one event loop."""
        async with httpx.AsyncClient(
            headers={"User-Agent": "rustybt", **self._headers},
            timeout=self._timeout,
            limits=self._limits,
            verify=trusted(),
        ) as client:
            yield Session(self, client)

    def url_of(self, target: str, params: Mapping[str, Any] | None) -> httpx.URL:
        """The URL without credentials. Of an absolute one (a next page) only the path counts."""
        given = httpx.URL(target)
        if given.is_absolute_url:
            url = self.base_url.copy_with(raw_path=given.raw_path)
        else:
            url = httpx.URL(f"{self.base_url}/{target.lstrip('/')}")
        for name in self._params:
            url = url.copy_remove_param(name)
        return url.copy_merge_params(params or {}) if params else url

    def signed(self, url: httpx.URL) -> bytes:
        """Path and query with credentials."""
        return url.copy_merge_params(self._params).raw_path if self._params else url.raw_path

    def redacted(self, text: str) -> str:
        """The text with every credential that stands in it blotted out."""
        for value in (*self._headers.values(), *self._params.values()):
            secret = value.split()[-1:]  # "Bearer KEY"
            for each in secret:
                text = text.replace(each, "***")
        return text


class Session:
    """Asks a provider; made by `Http.session`."""

    def __init__(self, http: Http, client: httpx.AsyncClient) -> None:
        self._http = http
        self._client = client
        # One at a time waits for its turn; the others would only look in vain.
        self._turn = asyncio.Lock()

    async def get(
        self,
        target: str,
        params: Mapping[str, Any] | None = None,
        *,
        judge: Judge | None = None,
        cost: float = 1.0,
    ) -> Answer:
        """Ask, and ask again where that helps.

        Parameters
        ----------
        target : str
            A path below the base URL, or the URL of a next page.
        params : mapping
        judge : callable, optional
            In the place of the provider's, where the request decides what an answer means.
        cost : float
            What it takes from the budget.

        Raises
        ------
        RustyBTError
            What the judge says.
        AuthenticationError
            Status 401 or 403.
        RateLimitError
            Status 429 or 418, still after the last attempt or with a pause beyond patience.
        OutageError
            Status 5xx, a cut connection or a timeout, still after the last attempt; or too many
            of these just now.
        MalformedAnswerError
            An answer that cannot be decoded, still after the last attempt.
        RefusedRequestError
            Any other status of 4xx.
        """
        url = self._http.url_of(target, params)
        with self._http.circuit.watched():
            async for attempt in stamina.retry_context(
                on=self._again, timeout=None, **vars(self._http.retries)
            ):
                with attempt:
                    answer = await self._ask(url, cost)
                    await self._require_good(answer, judge or self._http.judge)
        return answer

    def _again(self, error: Exception) -> bool | float:
        if isinstance(error, RateLimitError) and error.retry_after is not None:
            # The budget does the waiting, in all processes.
            return 0.0 if error.retry_after <= self._http.budget.patience else False
        return isinstance(error, RateLimitError | OutageError | MalformedAnswerError)

    async def _ask(self, url: httpx.URL, cost: float) -> Answer:
        http = self._http
        where = f"{http.provider} ({url.netloc.decode()}{url.path})"
        async with self._turn:
            receipt = await http.budget.take(cost)
        # httpx logs the URL, so credentials are added below it.
        signed = {"target": http.signed(url)}
        try:
            async with (
                asyncio.timeout(http.deadline),
                self._client.stream("GET", url, extensions=signed) as response,
            ):
                await http.budget.settle(receipt)
                content = await response.aread()
        except httpx.DecodingError as error:
            raise MalformedAnswerError(f"{where} cannot be decompressed: {error}") from None
        except (httpx.TransportError, TimeoutError) as error:
            raise OutageError(f"{where} did not answer: {_reason(error)}. Try later") from None
        excerpt = http.redacted(" ".join(content[:300].decode(errors="replace").split()))
        return Answer(response.status_code, response.headers, content, where, excerpt)

    async def _require_good(self, answer: Answer, judge: Judge | None) -> None:
        error = self._judged(answer, judge)
        if error is None:
            return
        pause = getattr(error, "retry_after", None)
        if pause is None and answer.status >= 500:
            pause = retry_after(answer.headers, self._http.clock())
        if pause is not None:
            await self._http.budget.pause(pause)
        error.args = tuple(self._http.redacted(str(each)) for each in error.args)
        raise error

    def _judged(self, answer: Answer, judge: Judge | None) -> RustyBTError | None:
        try:
            error = judge(answer) if judge else None
        except MalformedAnswerError as unreadable:
            # A proxy's page about status 502 is an outage first.
            return self._judge_status(answer) or unreadable
        return error or self._judge_status(answer)

    def _judge_status(self, answer: Answer) -> RustyBTError | None:
        said = f"{answer.where} answered {answer.status}: {answer.excerpt!r}"
        match answer.status:
            case 401 | 403:
                return AuthenticationError(f"{said}. Check the API key and what its plan covers")
            case 418 | 429:
                pause = retry_after(answer.headers, self._http.clock())
                when = f"in {pause:.0f} s" if pause is not None else "later"
                return RateLimitError(f"{said}. Ask again {when}, or less often", pause)
            case 408:
                return OutageError(f"{said}. Try later")
            case status if status >= 500:
                return OutageError(f"{said}. Try later")
            case status if status >= 400:
                return RefusedRequestError(said)
            case status if status >= 300:
                return MalformedAnswerError(f"{said}, which leads elsewhere; it is not followed")
        return None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
