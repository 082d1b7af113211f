"""Alpha Vantage for a loopback server: series, lists, the listing, and errors with status 200."""

import polars as pl

from rustybt.data.sources.testing import Fault, Provider, Reply

PREMIUM = "You may subscribe to any of the premium plans to instantly unlock all premium endpoints"
DAILY_LIMIT = (
    "We have detected your API key as {key} and our standard API rate limit is 25 requests per "
    "day. Please subscribe to any of the premium plans to instantly remove all daily rate limits."
)
NO_KEY = "the parameter apikey is invalid or missing. Please claim your free API key"
SAID = {
    Fault.ERROR_BODY: ("Information", f"Thank you! This is a premium endpoint. {PREMIUM}"),
    Fault.RATE_LIMITED: ("Note", "Our standard API call frequency is 5 calls per minute"),
    Fault.RETRY_AT_ONCE: ("Information", f"Please spread requests more sparingly. {PREMIUM}"),
    Fault.RETRY_TOMORROW: ("Information", DAILY_LIMIT),
    Fault.UNAUTHORISED: ("Error Message", NO_KEY),
}
INVALID = {"Error Message": "Invalid API call. Please retry or visit the documentation."}
INTERVALS = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h"}
COLUMNS = ("open", "high", "low", "close", "volume")
ADJUSTED = (
    "open", "high", "low", "close", "adjusted close", "volume", "dividend amount",
    "split coefficient",
)  # fmt: skip
COMPACT = 100


class AlphaVantageProvider(Provider):
    """``/query``, as it answered in 2025."""

    def symbol_of(self, request):
        return request.query.get("symbol")

    def error(self, request):
        if request.fault is Fault.OUTAGE:
            return super().error(request)
        name, text = SAID[request.fault]
        return Reply.of_json({name: text.format(key=self.secret)})

    def respond(self, request):
        query = request.query
        if query.get("apikey") != self.secret:
            name, text = SAID[Fault.UNAUTHORISED]
            return Reply.of_json({name: text})
        if query["function"] == "LISTING_STATUS":
            return self.listing(query["state"])
        if request.symbol not in self.world.symbols:
            return Reply.of_json(INVALID)
        if query["function"] in ("SPLITS", "DIVIDENDS"):
            return Reply.of_json({"symbol": request.symbol, "data": self.list_of(request)})
        if query["function"] == "TIME_SERIES_INTRADAY":
            return self.intraday(request.symbol, query)
        return self.daily(request.symbol, query)

    def listing(self, state):
        rows = [("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status")]
        for symbol in self.world.symbols:
            gone = self.world.delisted.get(symbol)
            if (gone is not None) == (state == "delisted"):
                rows.append(
                    (symbol, "A", "NYSE", "Stock", "1999-11-18", str(gone or "null"), state)
                )
        text = "".join(",".join(row) + "\r\n" for row in rows)
        return Reply(text.encode(), 200, {"Content-Type": "application/x-download"})

    def list_of(self, request):
        events = self.events_of(request, request.symbol)
        if request.query["function"] == "SPLITS":
            return [
                {"effective_date": str(day), "split_factor": f"{1 / ratio:.4f}"}
                for day, ratio in events.splits.select("ex_date", "ratio").reverse().rows()
            ]
        names = {
            "ex_date": "ex_dividend_date", "declared_date": "declaration_date",
            "record_date": "record_date", "pay_date": "payment_date", "amount": "amount",
        }  # fmt: skip
        rows = events.dividends.reverse().rename(names).select(names.values())
        return [{name: str(each) for name, each in row.items()} for row in rows.to_dicts()]

    def daily(self, symbol, query):
        rows, columns = self.world.served(symbol, "1d"), COLUMNS
        if query["function"].endswith("ADJUSTED"):
            rows, columns = self.adjusted(symbol, rows), ADJUSTED
        if query["outputsize"] == "compact":
            rows = rows.tail(COMPACT)
        times = rows["timestamp"].cast(pl.String)
        return series("Time Series (Daily)", times, rows, columns, "US/Eastern")

    def adjusted(self, symbol, rows):
        own = {
            kind: frame.filter(pl.col("symbol") == symbol).rename({"ex_date": "timestamp"})
            for kind, frame in self.world.events.items()
        }
        both = self.world.adjusted(symbol, dividends=True)["close"].alias("adjusted close")
        return (
            rows.with_columns(both)
            .join(own["dividends"].select("timestamp", "amount"), on="timestamp", how="left")
            .join(own["splits"].select("timestamp", "ratio"), on="timestamp", how="left")
            .with_columns(
                pl.col("amount").fill_null(0.0).alias("dividend amount"),
                (1 / pl.col("ratio")).fill_null(1.0).alias("split coefficient"),
            )
        )

    def intraday(self, symbol, query):
        assert (query["adjusted"], query["extended_hours"]) == ("false", "false")
        rows = self.world.served(symbol, INTERVALS[query["interval"]])
        local = rows["start"].dt.convert_time_zone("America/New_York")
        rows = rows.filter(local.dt.strftime("%Y-%m") == query["month"])
        times = rows["start"].dt.convert_time_zone("America/New_York")
        name = f"Time Series ({query['interval']})"
        return series(name, times.dt.strftime("%Y-%m-%d %H:%M:%S"), rows, COLUMNS, "US/Eastern")


def series(name, times, rows, columns, timezone):
    """The latest first, values as text."""
    table = {
        time: {
            f"{number}. {column}": f"{row[column]:.{0 if column == 'volume' else 10}f}"
            for number, column in enumerate(columns, 1)
        }
        for time, row in zip(times.reverse(), rows.reverse().iter_rows(named=True), strict=True)
    }
    about = {"1. Information": "Prices", "2. Symbol": "ANY", "5. Time Zone": timezone}
    return Reply.of_json({"Meta Data": about, name: table})
