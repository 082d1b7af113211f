"""Alpaca for a loopback server: bars of several symbols, corporate actions, assets."""

import polars as pl

from rustybt.data.sources.testing import Provider, Reply

SHORT = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
UNITS = {"Min": "m", "Hour": "h", "Day": "d"}
INSTANT = "%Y-%m-%dT%H:%M:%SZ"


class AlpacaProvider(Provider):
    """The data API and, under the same URL, the trading API.

    Attributes
    ----------
    faulty : sequence of str
        Symbols that something is to go wrong with, also where others are asked for with them.
    """

    faulty = ()

    def symbol_of(self, request):
        if request.path.startswith("/v2/assets"):
            return None
        asked = request.query["symbols"].split(",")
        return next((symbol for symbol in asked if symbol in self.faulty), asked[0])

    def respond(self, request):
        keys = (request.headers.get(f"apca-api-{name}") for name in ("key-id", "secret-key"))
        if tuple(keys) != ("PK123", self.secret):
            return Reply.of_json({"message": "forbidden."}, 403)
        match request.path.split("/")[1:]:
            case ["v2", "stocks", "bars"]:
                return self.bars(request)
            case ["v1", "corporate-actions"]:
                return self.actions(request)
            case ["v2", "assets", symbol]:
                return self.asset(symbol)
            case ["v2", "assets"]:
                return Reply.of_json([self.described(symbol) for symbol in self.world.symbols])
        return Reply.of_json({"message": "not found"}, 404)

    def error_body(self, request, status):
        return {"code": 40010000, "message": f"trouble with {self.secret}"}

    def bars(self, request):
        query = request.query
        unit = next(unit for unit in UNITS if query["timeframe"].endswith(unit))
        step = query["timeframe"].removesuffix(unit) + UNITS[unit]
        symbols = sorted(set(query["symbols"].split(",")) & set(self.world.symbols))
        rows = pl.concat([_NONE, *(self.rendered(symbol, step) for symbol in symbols)])
        asked = rows.filter(pl.col("t").is_between(pl.lit(query["start"]), pl.lit(query["end"])))
        page = self.page(request, asked, int(query["limit"]), query.get("page_token", ""))
        bars = {
            name: table.drop("symbol").to_dicts()
            for (name,), table in page.rows.partition_by("symbol", as_dict=True).items()
        }
        return Reply.of_json({"bars": bars, "next_page_token": page.next})

    def rendered(self, symbol, step):
        """Bars as rows of an answer; a day begins at midnight in New York."""
        start = pl.col("start")
        if step == "1d":
            midnight = pl.col("timestamp").cast(pl.Datetime("us"))
            start = midnight.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC")
        return self.world.served(symbol, step).select(
            pl.lit(symbol).alias("symbol"),
            start.dt.strftime(INSTANT).alias("t"),
            *(pl.col(name).alias(short) for name, short in SHORT.items()),
            pl.lit(1).alias("n"),
            pl.col("close").alias("vw"),
        )

    def actions(self, request):
        symbols = request.query["symbols"].split(",")
        events = [self.events_of(request, symbol) for symbol in symbols]
        splits = [
            {
                "symbol": row["symbol"],
                "new_rate": 1 / row["ratio"],
                "old_rate": 1,
                "process_date": str(row["ex_date"]),
                "ex_date": str(row["ex_date"]),
            }
            for each in events
            for row in each.splits.iter_rows(named=True)
        ]
        dividends = [
            {
                "symbol": row["symbol"],
                "rate": row["amount"],
                "special": False,
                "foreign": False,
                "process_date": str(row["pay_date"]),
                "ex_date": str(row["ex_date"]),
                "record_date": str(row["record_date"]),
                "payable_date": str(row["pay_date"]),
            }
            for each in events
            for row in each.dividends.iter_rows(named=True)
        ]
        found = {"forward_splits": splits, "cash_dividends": dividends}
        first, last = request.query["start"], request.query["end"]
        booked = {
            kind: [row for row in rows if first <= row["process_date"] <= last]
            for kind, rows in found.items()
        }
        return Reply.of_json({"corporate_actions": booked, "next_page_token": None})

    def asset(self, symbol):
        if symbol not in self.world.symbols:
            message = f"asset not found for {symbol}"
            return Reply.of_json({"code": 40410000, "message": message}, 404)
        return Reply.of_json(self.described(symbol))

    def described(self, symbol):
        status = "inactive" if symbol in self.world.delisted else "active"
        return {"symbol": symbol, "class": "us_equity", "status": status, "tradable": True}


_TEXTS, _NUMBERS = ("symbol", "t"), ("o", "h", "l", "c", "v", "n", "vw")
_NONE = pl.DataFrame(
    schema={
        **dict.fromkeys(_TEXTS, pl.String),
        **dict.fromkeys(_NUMBERS, pl.Float64),
        "n": pl.Int32,
    }
)
