"""A complete source of a made-up provider, and the provider itself for a loopback server."""

import os
from datetime import date, datetime, timedelta

import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events, conform_events
from rustybt.data.bars import INSTANT
from rustybt.data.errors import (
    AuthenticationError,
    DelistedSymbolError,
    MalformedAnswerError,
    RefusedRequestError,
    UnknownSymbolError,
)
from rustybt.data.sources import DataSourceMetadata
from rustybt.data.sources.adapters import (
    Answered,
    Budget,
    Http,
    ProviderSource,
    Rate,
    ended,
    utc_now,
)
from rustybt.data.sources.testing import Provider, Reply

NAMES = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


RATES = (Rate(100, 60),)


class CandlesSource(ProviderSource):
    """Bars of candles.example: raw, labelled at their start, with splits and dividends."""

    environment_variables = ("CANDLES_API_KEY",)

    def __init__(
        self,
        api_key=None,
        base_url="https://api.candles.example",
        rates=RATES,
        clock=utc_now,
        **http,
    ):
        key = api_key or os.environ.get("CANDLES_API_KEY", "")
        self._has_key = bool(key)
        budget = Budget("candles", rates, credential=key)
        self._clock = clock
        self._http = Http(
            "candles",
            base_url,
            budget=budget,
            params={"key": key},
            judge=judge,
            **http,
        )

    def get_metadata(self):
        return DataSourceMetadata(
            source_type="candles",
            frequencies=("1d", "15m"),
            bar_label="start",
            settle_lag=timedelta(days=1),
            calendar="XNYS",
        )

    def _connect(self):
        if not self._has_key:
            raise AuthenticationError("candles wants a key: pass api_key or set CANDLES_API_KEY")
        return self._http.session()

    async def _bars_of(self, session, symbol, asked, frequency):
        early = frequency.duration if frequency.intraday else timedelta(0)
        request = {
            "ticker": symbol,
            "step": str(frequency),
            "from": (asked.first - early).isoformat(),
            "to": asked.last.isoformat(),
        }
        rows, delisted = [], None
        async for page in self.pages(session, request):
            rows, delisted = rows + page["rows"], page["delisted"]
        if delisted and not rows:
            raise DelistedSymbolError(f"candles: {symbol} is no longer traded since {delisted}")
        bars = pl.DataFrame(rows, schema={"t": pl.Int64, **dict.fromkeys(NAMES, pl.Float64)})
        began = pl.from_epoch("t", "ms").dt.replace_time_zone("UTC")
        day = began.dt.convert_time_zone("America/New_York").dt.date()
        label = (began + early).cast(INSTANT) if frequency.intraday else day
        labelled = bars.rename(NAMES).select(
            pl.lit(symbol).alias("symbol"), label.alias("timestamp"), *NAMES.values()
        )
        return Answered(self.ended(self.once(labelled), frequency))

    def ended(self, bars, frequency):
        return ended(bars, frequency, "XNYS", self._clock())

    def once(self, rows):
        return rows.unique()

    async def pages(self, session, request):
        """The pages of an answer; each names the next one."""
        cursor, seen = "", set()
        while cursor not in seen:
            seen.add(cursor)
            answer = await session.get("/bars", {**request, "cursor": cursor})
            page = answer.json()
            if not isinstance(page, dict) or not {"rows", "next", "delisted"} <= set(page):
                raise MalformedAnswerError(f"{answer.where} is no page of bars: {answer.excerpt}")
            yield page
            cursor = page["next"]
            if cursor is None:
                return
        raise MalformedAnswerError(f"{answer.where} gives the same page again and again")

    async def _events_of(self, session, symbol, asked):
        answer = await session.get("/actions", {"ticker": symbol})
        inside = pl.col("ex_date").is_between(asked.first, asked.last)
        return Events(**{
            kind: self.events_from(kind, answer.json()[kind], symbol).filter(inside)
            for kind in ("splits", "dividends")
        })  # fmt: skip

    def events_from(self, kind, rows, symbol):
        """Its splits or dividends in our schema; it spells dates as text."""
        dates = ("ex_date", "record_date", "pay_date")
        spelled = dict.fromkeys(dates, pl.String) | {"ratio": pl.Float64, "amount": pl.Float64}
        columns = {name: spelled[name] for name in EVENT_SCHEMAS[kind] if name in spelled}
        frame = pl.DataFrame(rows, schema=columns).unique()
        typed = frame.with_columns(pl.col(pl.String).str.to_date(), pl.lit(symbol).alias("symbol"))
        return conform_events(kind, typed)


def judge(answer):
    """Its errors come with any status."""
    error = answer.json().get("error")
    if error == "unknown ticker":
        return UnknownSymbolError([answer.json()["ticker"]], "candles")
    if error and answer.status == 200:
        return RefusedRequestError(f"candles: {error}")
    return None


class CandlesProvider(Provider):
    """candles.example, as its documentation has it."""

    def symbol_of(self, request):
        return request.query.get("ticker")

    def respond(self, request):
        if request.query.get("key") != self.secret:
            return Reply.of_json({"error": "no such key"}, 401)
        if request.symbol not in self.world.symbols:
            return Reply.of_json({"error": "unknown ticker", "ticker": request.symbol}, 404)
        return self.actions(request) if request.path == "/actions" else self.bars(request)

    def bars(self, request):
        step, gone = request.query["step"], self.world.delisted.get(request.symbol)
        read, column = (date, "timestamp") if step == "1d" else (datetime, "start")
        first, last = (read.fromisoformat(request.query[name]) for name in ("from", "to"))
        asked = self.world.served(request.symbol, step).filter(
            pl.col(column).is_between(first, last)
        )
        page = self.page(request, asked, 5000, request.query["cursor"])
        rows = page.rows.select(
            pl.col("start").dt.epoch("ms").alias("t"),
            *(pl.col(name).alias(short) for short, name in NAMES.items()),
        )
        return Reply.of_json(
            {"rows": rows.to_dicts(), "next": page.next, "delisted": gone and str(gone)}
        )

    def actions(self, request):
        events = self.events_of(request, request.symbol)
        return Reply.of_json({
            kind: frame.with_columns(pl.col(pl.Date).cast(pl.String)).drop("symbol").to_dicts()
            for kind, frame in events.items()
        })  # fmt: skip
