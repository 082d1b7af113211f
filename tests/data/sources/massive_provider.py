"""Massive (formerly Polygon.io) for a loopback server: aggregates, splits, dividends, tickers."""

from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import polars as pl

from rustybt.data.sources.testing import Provider, Reply

NEW_YORK = ZoneInfo("America/New_York")
SPANS = {"minute": "m", "hour": "h", "day": "d"}
SHORT = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


class MassiveProvider(Provider):
    """The API as documented, at its address of today."""

    def symbol_of(self, request):
        if "/aggs/ticker/" in request.path:
            return request.path.split("/")[4]
        return request.query.get("ticker")

    def respond(self, request):
        if request.headers.get("authorization") != f"Bearer {self.secret}":
            return Reply.of_json({"status": "ERROR", "error": "Unknown API Key"}, 401)
        match request.path.split("/")[1:]:
            case ["v2", "aggs", "grouped", "locale", "us", "market", "stocks", day]:
                return self.grouped(request, day)
            case ["v2", "aggs", "ticker", symbol, "range", count, span, first, last]:
                return self.aggregates(request, symbol, count + SPANS[span], (first, last))
            case ["stocks", "v1", ("splits" | "dividends") as kind]:
                return self.actions(request, kind)
            case ["v3", "reference", "tickers"]:
                return self.tickers(request)
            case ["v3", "reference", "tickers", symbol] if symbol not in self.world.delisted:
                row = {"ticker": symbol, "market": "stocks", "active": True}
                return Reply.of_json({"status": "OK", "results": row | {"list_date": "1980-12-12"}})
            case ["vX", "reference", "tickers", symbol, "events"]:
                change = {"ticker_change": {"ticker": symbol}, "type": "ticker_change"}
                events = {"events": [change | {"date": "1980-12-12"}]}
                return Reply.of_json({"status": "OK", "results": events})
        return Reply.of_json({"status": "NOT_FOUND", "message": "Not found"}, 404)

    def error_body(self, request, status):
        return {"status": "ERROR", "request_id": "1", "error": f"trouble with {self.secret}"}

    def aggregates(self, request, symbol, step, dates):
        bars = self.rendered(symbol, step, adjusted=request.query.get("adjusted") == "true")
        first, last = (_milliseconds(text) for text in dates)
        asked = bars.filter(pl.col("t").is_between(first, last))
        limit = int(request.query["limit"])
        page = self.page(request, asked, limit, request.query.get("cursor", ""))
        body = {
            "ticker": symbol,
            "queryCount": len(page.rows),
            "resultsCount": len(page.rows),
            "adjusted": False,
            "results": page.rows.to_dicts(),
            "status": "OK",
            "request_id": "6a7e466379af0a71039d60cc78e72282",
        }
        if not len(page.rows):
            del body["results"]  # as the provider does
        return Reply.of_json(body | self.following(request, page))

    def grouped(self, request, day):
        """All tickers of a day, whose time is the close."""
        adjusted = request.query.get("adjusted") == "true"
        rows = []
        for symbol in self.world.symbols:
            bars = self.rendered(symbol, "1d", adjusted=adjusted)
            own = bars.filter(pl.col("t") == _milliseconds(day))
            rows += [{"T": symbol, **row, "t": row["t"] + 57_600_000} for row in own.to_dicts()]
        told = {"queryCount": len(rows), "resultsCount": len(rows), "adjusted": adjusted}
        body = {**told, "results": rows, "status": "OK", "request_id": "1", "count": len(rows)}
        if not rows:
            del body["results"]
        return Reply.of_json(body)

    def following(self, request, page):
        if page.next is None:
            return {}
        query = urlencode({**request.query, "cursor": page.next})
        return {"next_url": f"https://api.massive.com{request.path}?{query}"}

    def rendered(self, symbol, step, adjusted):
        """Bars as rows of an answer; a day begins at midnight in New York."""
        if symbol not in self.world.symbols or step not in self.world.bars:
            return pl.DataFrame(schema={"t": pl.Int64})
        bars = self.world.served(symbol, step)
        if adjusted:
            bars = self.world.adjusted(symbol, dividends=False)
        start = pl.col("start")
        if step == "1d":
            start = (
                pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("America/New_York")
            )
        return bars.select(
            *(pl.col(name).alias(short) for name, short in SHORT.items()),
            pl.col("close").round(4).alias("vw"),
            start.dt.epoch("ms").alias("t"),
            pl.lit(1).alias("n"),
        )

    def actions(self, request, kind):
        asked = request.query.get("ticker.any_of") or request.query.get("ticker")
        symbols = asked.split(",") if asked else self.world.symbols
        rows = [row for each in symbols for row in self.listed(request, kind, each)]
        column = "execution_date" if kind == "splits" else "ex_dividend_date"
        first, last = request.query[f"{column}.gte"], request.query[f"{column}.lte"]
        inside = [row for row in rows if first <= row[column] <= last]
        return Reply.of_json({"status": "OK", "request_id": "1", "results": inside})

    def listed(self, request, kind, symbol):
        events = self.events_of(request, symbol)
        if kind == "splits":
            return [
                {
                    "id": f"S{row['ex_date']}",
                    "ticker": symbol,
                    "execution_date": str(row["ex_date"]),
                    "split_from": 1,
                    "split_to": 1 / row["ratio"],
                    "adjustment_type": "forward_split",
                }
                for row in events.splits.iter_rows(named=True)
            ]
        return [
            {
                "id": f"D{row['ex_date']}",
                "ticker": symbol,
                "cash_amount": row["amount"],
                "currency": "USD",
                "declaration_date": None,
                "distribution_type": "recurring",
                "ex_dividend_date": str(row["ex_date"]),
                "record_date": str(row["record_date"]),
                "pay_date": str(row["pay_date"]),
            }
            for row in events.dividends.iter_rows(named=True)
        ]

    def tickers(self, request):
        gone = request.query["active"] == "false"
        found = [symbol for symbol in self.world.symbols if (symbol in self.world.delisted) == gone]
        rows = [
            {"ticker": symbol, "market": "stocks", "active": not gone}
            | ({"delisted_utc": f"{self.world.delisted[symbol]}T04:00:00Z"} if gone else {})
            for symbol in found
            if request.query.get("ticker", symbol) == symbol
        ]
        return Reply.of_json({"status": "OK", "count": len(rows), "results": rows})


def _milliseconds(text):
    """Of a bar's first moment; of a date midnight in New York."""
    if text.lstrip("-").isdigit():
        return int(text)
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp() * 1000)
