"""ccxt's exchanges, watched: nothing that only looks empty passes, and all requests share a budget.

What is overridden here belongs to what ccxt lets a subclass override: ``fetch2``, the one way to
the network; ``handle_http_status_code``, which judges an answer last; and ``parse_ohlcvs``.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from typing import Any

import stamina

from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    OptionError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
)
from rustybt.data.sources._budget import Budget, Rate
from rustybt.data.sources._ccxt_errors import read_error
from rustybt.data.sources._circuit import Circuit
from rustybt.data.sources._finality import Clock
from rustybt.data.sources._retries import Retries
from rustybt.data.sources._retry_after import retry_after
from rustybt.data.sources._trust import trusted

#: What every exchange is made with; an option of the same name goes before it.
_DEFAULTS: Mapping[str, Any] = {
    "enableRateLimit": True,
    "enableLastJsonResponse": True,
    "enableLastResponseHeaders": True,
    # Milliseconds for a whole answer; a list of all markets is long.
    "timeout": 30_000,
    # Proxies of the environment, as everything else here honours them.
    "aiohttp_trust_env": True,
    # ccxt waits 250 ms for TLS connections to close, which aiohttp has awaited by then.
    "timeout_on_exit": 0,
    # Bars need no list of currencies, which is a request more, and on some exchanges a signed one.
    "has": {"fetchCurrencies": False},
}
#: Seconds over which an exchange's rate is counted: short, since some allow no bursts.
_WINDOW = 10.0
#: How long a list of markets is good for; new ones appear daily.
_MARKETS_AGE = timedelta(hours=1)
#: What may be otherwise a moment later.
_PASSING = (RateLimitError, OutageError, MalformedAnswerError)
#: Statuses that are about the request, all of which ccxt calls an outage.
_REFUSED = frozenset({400, 404, 405, 409, 410, 422, 451})
#: Keys of an answer under which an empty list says that there is no error.
_ERROR_KEYS = re.compile(r"err", re.I)


def exchange_class(exchange_id: str) -> Any:
    """ccxt's class of an exchange, imported now.

    Raises
    ------
    OptionError
        If ccxt has no such exchange, or has no bars of it.
    """
    import ccxt.async_support as library

    if exchange_id not in library.exchanges:
        close = [name for name in library.exchanges if exchange_id[:3].lower() in name]
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise OptionError(f"exchange_id is {exchange_id!r}, which ccxt does not have{hint}")
    return getattr(library, exchange_id)


def exchange_ids() -> list[str]:
    """Ids of all exchanges that ccxt has, sorted."""
    import ccxt.async_support as library

    return sorted(library.exchanges)


def streaming_class(exchange_id: str) -> Any:
    """ccxt.pro's class of an exchange, imported now; None if it has none."""
    import ccxt.pro as library

    return getattr(library, exchange_id) if exchange_id in library.exchanges else None


@dataclass(frozen=True)
class Guard:
    """What all requests to one exchange have in common.

    Attributes
    ----------
    budget : Budget
    circuit : Circuit
    retries : Retries
    clock : callable
    secrets : tuple of str
        What no message may repeat.
    """

    budget: Budget
    circuit: Circuit
    retries: Retries
    clock: Clock
    secrets: tuple[str, ...] = ()

    def redacted(self, text: str) -> str:
        """The text with every secret that stands in it blotted out."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    async def ask(self, exchange: Any, cost: float, request: Callable[[], Awaitable[Any]]) -> Any:
        """Send a request when there is budget for it, and again where that helps."""
        with self.circuit.watched():
            async for attempt in stamina.retry_context(
                on=self._again, timeout=None, **vars(self.retries)
            ):
                with attempt:
                    answer = await self._once(exchange, cost, request)
        return answer

    def _again(self, error: Exception) -> bool | float:
        if isinstance(error, RateLimitError) and error.retry_after is not None:
            # The budget does the waiting, in all processes.
            return 0.0 if error.retry_after <= self.budget.patience else False
        return isinstance(error, _PASSING)

    async def _once(self, exchange: Any, cost: float, request: Callable[[], Awaitable[Any]]) -> Any:
        from ccxt.base.errors import BaseError

        receipt = await self.budget.take(cost)
        exchange.last_response_headers = exchange.last_status = None
        try:
            return await request()
        except BaseError as error:
            ours = read_error(error, exchange.id, self.redacted, exchange.last_status)
            if not isinstance(ours, _PASSING):
                raise  # about the request, and `translated` knows for which symbol
            pause = retry_after(exchange.last_response_headers or {}, self.clock())
            if pause is not None:
                await self.budget.pause(pause)
            if isinstance(ours, RateLimitError):
                ours.retry_after = pause
            raise ours from None
        finally:
            await self.budget.settle(receipt)


def open_exchange(base: Any, options: Mapping[str, Any], guard: Guard) -> Any:
    """An exchange of ccxt's, to be closed by the caller."""
    exchange = _guarded(base)({**_DEFAULTS, **options})
    exchange.guard = guard
    exchange.connected = asyncio.Event()
    exchange.logger = _WithoutAnswers(logging.getLogger("ccxt"))
    if exchange.verify is True and exchange.ssl_context is None:
        exchange.ssl_context = trusted()
    return exchange


@dataclass
class Connection:
    """An open exchange, for one event loop."""

    exchange: Any
    complete: bool = False
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Markets:
    """An exchange's markets, kept between connections for an hour: they are a long answer.

    Parameters
    ----------
    kinds : sequence of str
        What kinds of markets are listed by requests of their own, spot ones among them. As long
        as these will do, only they are asked for.
    clock : callable
    """

    def __init__(self, kinds: Sequence[str], clock: Clock) -> None:
        self._kinds = kinds
        self._clock = clock
        self._kept: Connection | None = None
        self._until = clock()

    async def load(self, connection: Connection, *, everything: bool) -> None:
        """See to it that the exchange knows its spot markets, or all of them.

        Raises
        ------
        MalformedAnswerError
            If it says that it has none.
        """
        exchange = connection.exchange
        async with connection.loading:
            if exchange.markets and (connection.complete or not everything):
                return
            kept = self._kept if self._clock() < self._until else None
            if kept is not None and (kept.complete or not everything):
                exchange.set_markets_from_exchange(kept.exchange)
                connection.complete = kept.complete
                return
            if self._kinds:
                kinds = list(self._kinds) if everything else ["spot"]
                exchange.options["fetchMarkets"]["types"] = kinds
            await exchange.load_markets(reload=True)
            if not exchange.markets:
                raise MalformedAnswerError(f"{exchange.id} answered with an empty list of markets")
            connection.complete = everything or not self._kinds
            self._kept, self._until = connection, self._clock() + _MARKETS_AGE


def kinds_of(exchange: Any) -> Sequence[str]:
    """The kinds of markets that an exchange lists by requests of their own, if spot is one."""
    options = exchange.options.get("fetchMarkets")
    kinds = options.get("types") if isinstance(options, dict) else None
    return kinds if isinstance(kinds, list) and "spot" in kinds else ()


class _WithoutAnswers(logging.LoggerAdapter[logging.Logger]):
    """ccxt's log without what it is there for at level DEBUG: requests and answers, whole."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  logging's name
        return level > logging.DEBUG and super().isEnabledFor(level)


def secrets_of(exchange: Any, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The values of those options that are credentials to ccxt."""
    return tuple(str(options[name]) for name in exchange.requiredCredentials if options.get(name))


def rate_of(exchange: Any) -> Rate:
    """What an exchange allows, in ccxt's units of cost."""
    return Rate(_WINDOW * 1000 / exchange.rateLimit, _WINDOW)


@cache
def _guarded(base: Any) -> Any:
    class Guarded(base):  # type: ignore[misc]  # made anew for each exchange's own class
        """An exchange whose answers are looked at before ccxt takes them for empty."""

        guard: Guard
        #: Set when a websocket is up.
        connected: asyncio.Event
        last_status: int | None = None

        async def fetch2(
            self,
            path: str,
            api: Any = "public",
            method: str = "GET",
            params: Any = None,
            config: Any = None,
        ) -> Any:
            asked = (path, api, method, params or {}, config or {})
            cost = self.calculate_rate_limiter_cost(api, method, path, asked[3], asked[4])
            return await self.guard.ask(self, cost, partial(super().fetch2, *asked))

        def on_connected(self, client: Any, message: Any = None) -> None:
            super().on_connected(client, message)
            self.connected.set()

        def handle_errors(self, code: int, *answer: Any) -> Any:
            self.last_status = code
            return super().handle_errors(code, *answer)

        def handle_http_status_code(
            self, code: int, reason: str, url: str, method: str, body: str
        ) -> None:
            where = f"{self.id} ({url.partition('?')[0]})"
            excerpt = self.guard.redacted(" ".join(body.split()))[:300]
            said = f"{where} answered {code} {reason}: {excerpt!r}"
            if code in _REFUSED:
                raise RefusedRequestError(said)
            if code == 403:
                raise AuthenticationError(f"{said}. Check the API key and what it covers")
            super().handle_http_status_code(code, reason, url, method, body)
            if code >= 400:
                raise OutageError(f"{said}. Try later")
            if self.last_json_response is None:
                raise MalformedAnswerError(f"{said}, which is not JSON")

        def parse_ohlcvs(
            self, ohlcvs: list[Any] | None, market: Any = None, *_how: Any, **_named: Any
        ) -> list[list[Any]]:
            """All bars of an answer as they came, but those that it calls unfinished.

            ccxt's own sorts, filters and cuts, which hides what an exchange did not do as asked.
            """
            if not ohlcvs:
                self._require_list(self.last_json_response)
                return []
            done = _FINISHED.get(self.id, _all_finished)(self.last_json_response, ohlcvs)
            return [self.parse_ohlcv(row, market) for row in done]

        def _require_list(self, answer: Any) -> None:
            """An answer without bars says so with an empty list, or with a null in its place."""
            if not _has_list(answer):
                said = self.guard.redacted(str(answer))[:300]
                raise MalformedAnswerError(f"{self.id} answered without a list of bars: {said}")

    return Guarded


def _has_list(answer: Any) -> bool:
    if isinstance(answer, dict):
        rest = [value for key, value in answer.items() if not _ERROR_KEYS.search(str(key))]
        return any(map(_has_list, rest))
    return answer is None or isinstance(answer, list)


def _all_finished(answer: Any, rows: list[Any]) -> list[Any]:  # noqa: ARG001
    return rows


def _until_committed(answer: Any, rows: list[Any]) -> list[Any]:
    """Kraken: ``last`` is the time of the last committed bar, which one more may follow.

    See https://docs.kraken.com/api/docs/rest-api/get-ohlc-data.
    """
    last = answer["result"].get("last")
    return rows[:-1] if last is not None and int(rows[-1][0]) > int(last) else rows


def _confirmed(answer: Any, rows: list[Any]) -> list[Any]:  # noqa: ARG001
    """OKX: the ninth field is "0" while a bar forms.

    See https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks.
    """
    return [row for row in rows if row[8:9] != ["0"]]


#: How some exchanges mark a bar that still forms, whatever the clocks say.
_FINISHED: Mapping[str, Callable[[Any, list[Any]], list[Any]]] = {
    "kraken": _until_committed,
    "okx": _confirmed,
    "okxus": _confirmed,
    "myokx": _confirmed,
}
