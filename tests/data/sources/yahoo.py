"""Yahoo Finance for a loopback server: charts, the cookie, the crumb, and its words for errors."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from curl_cffi.requests import Session

from rustybt.data.adjustments import Events, conform_events
from rustybt.data.bars import DAILY, PRICE_COLUMNS, conform
from rustybt.data.samples import STOCKS
from rustybt.data.sources.testing import Provider, Reply, World

#: What Yahoo says of the markets that the tests know.
MARKETS = {
    "XNYS": ("NMS", "America/New_York", "USD"),
    "XLON": ("LSE", "Europe/London", "GBp"),
    "24/7": ("CCC", "UTC", "USD"),
    "24/5": ("CCY", "Europe/London", "USD"),
}
NOT_FOUND = {"code": "Not Found", "description": "No data found, symbol may be delisted"}


class Rerouted(Session):
    """yfinance's session, with every host of Yahoo's on this machine."""

    def __init__(self, base_url: str, **options: object) -> None:
        super().__init__(impersonate="chrome", **options)
        self.base_url = base_url

    def request(self, method, url, *arguments, **options):
        asked = urlsplit(url)
        here = asked._replace(scheme="http", netloc=urlsplit(self.base_url).netloc)
        headers = {**(options.pop("headers", None) or {}), "X-Host": asked.netloc}
        return super().request(method, here.geturl(), *arguments, headers=headers, **options)


class YahooProvider(Provider):
    """``/v8/finance/chart`` as it answers in 2025; further `rows` may be appended to any chart."""

    #: Handed the rows of a chart before they are rendered.
    change: Callable[[pl.DataFrame], pl.DataFrame] = staticmethod(lambda rows: rows)
    crumb = "8tGhR.x/1aB"

    def symbol_of(self, request):
        chart = request.path.startswith("/v8/finance/chart/")
        return request.path.rpartition("/")[2] if chart else None

    def respond(self, request):
        if request.path == "/v1/test/getcrumb":
            return Reply(self.crumb.encode())
        if request.symbol is None:
            later = "Fri, 01 Jan 2038 00:00:00 GMT"
            cookie = {"Set-Cookie": f"A3=d=AQAB; Expires={later}; Path=/"}
            return Reply(b"Will be right back...", 404, cookie)
        if request.query.get("crumb") != self.crumb:
            return self.said(401, "Unauthorized", "Invalid Crumb", "finance")
        if request.symbol not in self.world.symbols:
            return self.said(404, **NOT_FOUND)
        return self.chart(request)

    def error_body(self, request, status):
        description = f"status {status}"
        return {"chart": {"result": None, "error": {"code": "Error", "description": description}}}

    def said(self, status, code, description, under="chart"):
        error = {"code": code, "description": description}
        return Reply.of_json({under: {"result": None, "error": error}}, status)

    def chart(self, request):
        symbol, query = request.symbol, request.query
        now = self.world.now.timestamp()
        earliest = now - 86_400 if query.get("range") == "1d" else 0
        first = datetime.fromtimestamp(int(query.get("period1", earliest)), UTC)
        last = datetime.fromtimestamp(int(query.get("period2", now)), UTC)
        inside = pl.col("start").is_between(first, last, closed="left")
        rows = self.change(self.adjusted(symbol, query["interval"])).filter(inside)
        if rows.is_empty() and symbol in self.world.delisted:
            text = f"Data doesn't exist for startDate = {first}, endDate = {last}"
            return self.said(400, "Bad Request", text)
        events = self.events(request, first.timestamp(), last.timestamp())
        told = {"meta": self.meta(symbol, query["interval"]), **self.columns(rows, query), **events}
        return Reply.of_json({"chart": {"result": [told], "error": None}})

    def meta(self, symbol, interval):
        exchange, timezone, currency = MARKETS[self.world.calendar]
        days = self.world.served(symbol, "1d")
        traded = days["end"].last()
        return {
            "symbol": symbol, "currency": currency, "exchangeName": exchange,
            "instrumentType": "EQUITY", "exchangeTimezoneName": timezone,
            "firstTradeDate": int(days["start"].first().timestamp()),
            "regularMarketTime": int(min(traded, self.world.now).timestamp()),
            "dataGranularity": interval, "range": "", "validRanges": ["1d", "max"],
        }  # fmt: skip

    def columns(self, rows, query):
        if rows.is_empty():
            return {"indicators": {"quote": [{}]}}
        quote = {name: singles(rows[name]) for name in PRICE_COLUMNS}
        quote["volume"] = [None if each is None else int(each) for each in rows["volume"]]
        indicators = {"quote": [quote]}
        if query["interval"] == "1d":
            indicators["adjclose"] = [{"adjclose": singles(rows["adjusted"])}]
        return {"timestamp": rows["start"].dt.epoch("s").to_list(), "indicators": indicators}

    def adjusted(self, symbol, interval):
        """Rows with Yahoo's prices: adjusted for every split that has happened."""
        if interval == "1d":
            told = self.world.adjusted(symbol, dividends=False)
            both = self.world.adjusted(symbol, dividends=True)
            return told.with_columns(both["close"].alias("adjusted"))
        rows = self.world.served(symbol, interval)
        for day, ratio in self.splits(symbol):
            since = datetime.combine(day, time(), self.zone).astimezone(UTC)
            price = pl.when(pl.col("start") < since).then(ratio).otherwise(1.0)
            rows = rows.with_columns(
                *(pl.col(name) * price for name in PRICE_COLUMNS), volume=pl.col("volume") / price
            )
        return rows.with_columns(adjusted=None)

    @property
    def zone(self):
        return ZoneInfo(MARKETS[self.world.calendar][1])

    def splits(self, symbol):
        splits = self.world.events.splits
        happened = splits.filter(
            (pl.col("symbol") == symbol) & (pl.col("ex_date") <= self.world.now.date())
        )
        return list(zip(happened["ex_date"], happened["ratio"], strict=True))

    def events(self, request, first, last):
        own = self.events_of(request, request.symbol)
        ratios = self.splits(request.symbol)
        found = {"dividends": {}, "splits": {}}
        for day, amount in zip(own.dividends["ex_date"], own.dividends["amount"], strict=True):
            later = [ratio for ex_date, ratio in ratios if ex_date > day]
            self.tell(found["dividends"], day, {"amount": round(amount * float(np.prod(later)), 6)})
        for day, ratio in zip(own.splits["ex_date"], own.splits["ratio"], strict=True):
            new, old = (1 / ratio).as_integer_ratio() if ratio < 1 else (1, ratio)
            told = {"numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}
            self.tell(found["splits"], day, told)
        asked = {
            kind: {key: each for key, each in told.items() if first <= each["date"] < last}
            for kind, told in found.items()
        }
        told = {kind: each for kind, each in asked.items() if each}
        return {"events": told} if told else {}

    def tell(self, told, day: date, event):
        """Dated at the open, under a key of its own."""
        at = int(datetime.combine(day, time(9, 30), self.zone).timestamp())
        key = str(at) if str(at) not in told else f"{at}-again"
        told[key] = {"date": at, **event}


def singles(values: pl.Series) -> list[float | None]:
    """What is left of prices that are rounded to six decimals and written as 32-bit floats."""
    return [None if each is None else float(np.float32(round(each, 6))) for each in values]


def real_world():
    """AAPL, MSFT and IBM from 2000 to 2013, as they were traded, with their events."""
    tables = [
        pl.read_csv(STOCKS / f"{symbol}.csv.gz", try_parse_dates=True).select(
            pl.lit(symbol).alias("symbol"), pl.col("date").alias("timestamp"),
            "open", "high", "low", "close", "volume",
        )
        for symbol in ("AAPL", "IBM", "MSFT")
    ]  # fmt: skip
    events = {
        kind: conform_events(kind, pl.read_csv(STOCKS / f"{kind}.csv", try_parse_dates=True))
        for kind in ("splits", "dividends")
    }
    bars = conform(pl.concat(tables), DAILY)
    return World({"1d": bars}, Events(**events), datetime(2013, 3, 9, tzinfo=UTC))
