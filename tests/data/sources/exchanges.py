"""Exchanges that a loopback server plays, in the formats of the real ones."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

import polars as pl

from rustybt.data.bars import VALUE_COLUMNS, Frequency
from rustybt.data.sources.testing import Fault, Page, Provider, Reply, Request


def milliseconds(column: str) -> pl.Expr:
    return pl.col(column).dt.epoch("ms")


def decimal(value: float) -> str:
    """As exchanges write numbers: without an exponent."""
    return format(Decimal(repr(value)), "f")


class Exchange(Provider):
    """An exchange whose market ids are made of those of their currencies."""

    separator: ClassVar[str] = ""

    def market_id(self, symbol: str) -> str:
        return symbol.replace("/", self.separator)

    def symbol_with(self, market_id: str | None) -> str | None:
        named = {self.market_id(symbol): symbol for symbol in self.world.symbols}
        return named.get(market_id or "", market_id)

    def bars_of(self, symbol: str, seconds: int) -> pl.DataFrame:
        """All that has begun, with ``begin`` in milliseconds."""
        frequency = "1d" if seconds == 86_400 else f"{seconds // 60}m"
        name = str(Frequency.parse(frequency))
        known = name in self.world.bars
        bars = self.world.served(symbol, name if known else next(iter(self.world.bars)))
        timed = bars.with_columns(milliseconds("start").alias("begin"))
        return timed if known else timed.clear()

    def page_from(self, request: Request, bars: pl.DataFrame, since: int, limit: int) -> Page:
        at = int((bars["begin"] < since).sum())
        return self.page(request, bars, limit, str(at))


class Binance(Exchange):
    """See https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints."""

    seconds: ClassVar[dict[str, int]] = {"1m": 60, "15m": 900, "1h": 3600, "1d": 86_400}

    def symbol_of(self, request: Request) -> str | None:
        return self.symbol_with(request.query.get("symbol"))

    def respond(self, request: Request) -> Reply:
        if request.path == "/api/v3/exchangeInfo":
            return Reply.of_json({"timezone": "UTC", "symbols": self.markets()})
        if request.path.endswith("/exchangeInfo"):
            return Reply.of_json({"timezone": "UTC", "symbols": []})
        assert request.path == "/api/v3/klines"
        if request.symbol not in self.world.symbols:
            return Reply.of_json({"code": -1121, "msg": "Invalid symbol."}, 400)
        seconds = self.seconds[request.query["interval"]]
        limit = min(1000, int(request.query["limit"]))
        bars = self.bars_of(request.symbol, seconds)
        page = self.page_from(request, bars, int(request.query["startTime"]), limit)
        return Reply.of_json([self.row(bar, seconds) for bar in page.rows.iter_rows(named=True)])

    def row(self, bar: dict[str, Any], seconds: int) -> list[Any]:
        values = [decimal(bar[name]) for name in VALUE_COLUMNS]
        return [bar["begin"], *values, bar["begin"] + seconds * 1000 - 1, "0", 1, "0", "0", "0"]

    def markets(self) -> list[dict[str, Any]]:
        return [
            {
                "symbol": self.market_id(symbol),
                "status": "BREAK" if symbol in self.world.delisted else "TRADING",
                "baseAsset": symbol.partition("/")[0],
                "quoteAsset": symbol.partition("/")[2],
                "baseAssetPrecision": 8,
                "quotePrecision": 8,
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
                "permissions": ["SPOT"],
                "filters": [
                    {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
                    {"filterType": "LOT_SIZE", "stepSize": "0.00001000"},
                ],
            }
            for symbol in self.world.symbols
        ]

    def error(self, request: Request) -> Reply:
        if request.fault is Fault.ERROR_BODY:
            said = {"code": -1003, "msg": f"Too many requests. {self.secret}"}
            return Reply.of_json(said, 200)
        return super().error(request)

    def error_body(self, request: Request, status: int) -> Any:
        code = {401: -2014, 429: -1003}.get(status, -1000)
        return {"code": code, "msg": f"An error occurred. {self.secret}"}


class Kraken(Exchange):
    """See https://docs.kraken.com/api/docs/rest-api/get-ohlc-data: the newest 720, and one more."""

    newest: ClassVar[int] = 720

    def symbol_of(self, request: Request) -> str | None:
        return self.symbol_with(request.query.get("pair"))

    def respond(self, request: Request) -> Reply:
        if request.path == "/0/public/AssetPairs":
            return Reply.of_json({"error": [], "result": self.markets()})
        assert request.path == "/0/public/OHLC"
        bars = self.bars_of(request.symbol or "", int(request.query["interval"]) * 60)
        later = bars.filter(pl.col("begin") > int(request.query["since"]) * 1000)
        given = self.page(request, later.tail(self.newest + 1), 10_000).rows
        rows = [self.row(bar) for bar in given.iter_rows(named=True)]
        ended = bars.filter(pl.col("end") <= self.world.now)["begin"].max() or 0
        result = {self.market_id(request.symbol or ""): rows, "last": int(ended) // 1000}
        return Reply.of_json({"error": [], "result": result})

    def row(self, bar: dict[str, Any]) -> list[Any]:
        opened, high, low, close, volume = (decimal(bar[name]) for name in VALUE_COLUMNS)
        return [bar["begin"] // 1000, opened, high, low, close, close, volume, 1]

    def markets(self) -> dict[str, Any]:
        return {
            self.market_id(symbol): {
                "altname": self.market_id(symbol),
                "wsname": symbol,
                "base": symbol.partition("/")[0],
                "quote": symbol.partition("/")[2],
                "pair_decimals": 2,
                "lot_decimals": 8,
                "fees": [[0, 0.4]],
                "fees_maker": [[0, 0.25]],
                "status": "delisted" if symbol in self.world.delisted else "online",
            }
            for symbol in self.world.symbols
        }

    def error(self, request: Request) -> Reply:
        if request.fault is Fault.ERROR_BODY:
            return Reply.of_json({"error": ["EGeneral:Internal error"]})
        return super().error(request)

    def error_body(self, request: Request, status: int) -> Any:
        said = {401: "EAPI:Invalid key", 429: "EGeneral:Too many requests"}
        return {"error": [said.get(status, "EService:Unavailable")], "key": self.secret}


class Coinbase(Exchange):
    """See https://docs.cdp.coinbase.com/exchange/reference: windows of 300 bars, newest first."""

    separator = "-"

    def symbol_of(self, request: Request) -> str | None:
        _, _, rest = request.path.partition("/products/")
        return self.symbol_with(rest.partition("/")[0] or None)

    def respond(self, request: Request) -> Reply:
        if request.path == "/products":
            return Reply.of_json(self.markets())
        seconds = int(request.query["granularity"])
        start, end = (
            int(datetime.fromisoformat(request.query[name]).astimezone(UTC).timestamp() * 1000)
            for name in ("start", "end")
        )
        assert end - start <= 300 * seconds * 1000
        bars = self.bars_of(request.symbol or "", seconds)
        page = self.page_from(request, bars.filter(pl.col("begin") <= end), start, 300)
        rows = [self.row(bar) for bar in page.rows.reverse().iter_rows(named=True)]
        return Reply.of_json(rows)

    def row(self, bar: dict[str, Any]) -> list[Any]:
        return [
            bar["begin"] // 1000,
            *(bar[name] for name in ("low", "high", "open", "close", "volume")),
        ]

    def markets(self) -> list[dict[str, Any]]:
        return [
            {
                "id": self.market_id(symbol),
                "base_currency": symbol.partition("/")[0],
                "quote_currency": symbol.partition("/")[2],
                "base_increment": "0.00000001",
                "quote_increment": "0.01",
                "status": "delisted" if symbol in self.world.delisted else "online",
                "trading_disabled": symbol in self.world.delisted,
            }
            for symbol in self.world.symbols
        ]
