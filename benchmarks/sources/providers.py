"""Providers with ten years of daily bars, which render each answer once and repeat it."""

import re
import time
from dataclasses import replace
from datetime import date
from functools import cache, cached_property
from importlib import import_module

import numpy as np
import polars as pl

from benchmarks.sources.asked import FIRST, LAST, NOW, symbols
from rustybt.data.calendars import load_calendar
from rustybt.data.sources.testing import Provider, Reply, Request, World
from tests.data.sources.alpaca_provider import AlpacaProvider

#: Provider -> module and class of what renders it, its calendar and the currency of its prices.
_RENDERERS = {
    "massive": ("massive_provider", "MassiveProvider"),
    "alpaca": ("alpaca_provider", "AlpacaProvider"),
    "alphavantage": ("alphavantage", "AlphaVantageProvider"),
    "yfinance": ("yahoo", "YahooProvider"),
    "binance": ("exchanges", "Binance", "24/7", "/USDT"),
}
#: The symbols that have bars of their own; every other one repeats one of them.
ORIGINALS = 8
_SYMBOL = re.compile(r"\bS\d{4}\b")


class Still(World):
    """A world of daily bars in which no time passes."""

    @cached_property
    def _days(self) -> pl.DataFrame:
        return super()._begun("1d")

    def _begun(self, frequency: str) -> pl.DataFrame:  # noqa: ARG002
        return self._days


@cache
def world(calendar: str = "XNYS", quote: str = "", originals: int = ORIGINALS) -> World:
    """Random walks in cents, the same each time; no events."""
    market = load_calendar(calendar, date.fromisoformat(FIRST), date.fromisoformat(LAST))
    random = np.random.default_rng(4)
    names = symbols(originals, quote)
    walks = pl.concat(_walk(random, name, market.sessions) for name in names)
    return Still({"1d": walks}, now=NOW, calendar=calendar)


def _walk(random: np.random.Generator, name: str, sessions: np.ndarray) -> pl.DataFrame:
    size = len(sessions)
    close = 50 * np.exp(np.cumsum(random.normal(0.0002, 0.01, size)))
    opened = close * np.exp(random.normal(0, 0.004, size))
    high = np.maximum(close, opened) * 1.005
    low = np.minimum(close, opened) * 0.995
    prices = {"open": opened, "high": high, "low": low, "close": close}
    values = {key: np.round(value, 2) for key, value in prices.items()}
    volume = random.integers(1_000, 1_000_000, size) * 100.0
    frame = pl.DataFrame({"timestamp": sessions, **values, "volume": volume})
    return frame.select(pl.lit(name).alias("symbol"), pl.all())


def provider_of(name: str, originals: int = ORIGINALS) -> Provider:
    """The provider of that name, as the tests have it."""
    module, renderer, *market = _RENDERERS[name]
    made: Provider = getattr(import_module(f"tests.data.sources.{module}"), renderer)(
        world(*market, originals=originals)
    )
    return made


class Repeating(Provider):
    """Answers in another provider's format, at most so many times a second.

    Symbols beyond the originals repeat the bars of one of them, where one symbol is asked for.
    """

    def __init__(self, name: str, pace: float | None = None, originals: int = ORIGINALS) -> None:
        self._provider = provider_of(name, originals)
        self._originals = originals
        if isinstance(self._provider, AlpacaProvider):  # which renders all bars for each page
            self._provider.rendered = cache(self._provider.rendered)
        super().__init__(self._provider.world)
        self._wait = 1 / pace if pace else 0.0
        self._rendered: dict[tuple[str, ...], Reply] = {}
        self.sent = 0
        self.busy = 0.0

    def symbol_of(self, request: Request) -> str | None:
        return self._provider.symbol_of(request)

    def respond(self, request: Request) -> Reply:
        begun = time.perf_counter()
        asked = {*_SYMBOL.findall(request.path), *_SYMBOL.findall(str(request.query))}
        if len(asked) == 1:
            (name,) = asked
            reply = self._as_if(request, name, f"S{int(name[1:]) % self._originals:04d}")
        else:
            reply = self._once(request)
        self.sent += len(reply.body)
        # One at a time, as slow as it is said to be: there is nothing else for it to do.
        time.sleep(max(0.0, self._wait - (time.perf_counter() - begun)))
        self.busy += time.perf_counter() - begun
        return reply

    def _as_if(self, request: Request, name: str, original: str) -> Reply:
        query = {key: value.replace(name, original) for key, value in request.query.items()}
        path = request.path.replace(name, original)
        reply = self._once(replace(request, path=path, query=query, symbol=original))
        return replace(reply, body=reply.body.replace(original.encode(), name.encode()))

    def _once(self, request: Request) -> Reply:
        key = (request.path, *map("=".join, request.query.items()))
        if key not in self._rendered:
            self._rendered[key] = self._provider.respond(request)
        return self._rendered[key]
