"""The four bridge functions of the releases up to 0.3, in both shapes of their call.

As zipline's ingest function, with its eleven arguments, each writes through the writers that it is
handed. With ``symbols``, ``start_date`` and ``end_date`` it writes a version of the bundle that is
named after it, and returns its directory.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from rustybt.data import _sync
from rustybt.data.adjustments import Events
from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles import storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import OptionError
from rustybt.data.sources.registry import DataSourceRegistry
from rustybt.legacy._deprecated import deprecated
from rustybt.legacy.catalog import CacheRows

#: What zipline hands to an ingest function, in its order.
_ARGUMENTS = (
    *("environ", "asset_db_writer", "minute_bar_writer", "daily_bar_writer"),
    *("adjustment_writer", "calendar", "start_session", "end_session", "cache"),
    *("show_progress", "output_dir"),
)


@dataclass(frozen=True)
class _Bridge:
    """What a bridge function ingests when nobody says otherwise."""

    bundle: str
    source: str
    frequency: str
    symbols: tuple[str, ...]
    days: int
    adapter: str
    description: str
    calendar: str = ""

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> Path | None:
        """Do what the shape of the call means."""
        given = {**dict(zip(_ARGUMENTS, arguments, strict=False)), **named}
        if "daily_bar_writer" in given:
            self._write(given)
            return None
        return self._ingest(named)

    def described(self) -> dict[str, Any]:
        """What it ingests, in the words of the releases up to 0.3."""
        varies = self.source == "csv"
        return {
            "description": self.description,
            "symbol_count": "varies" if varies else len(self.symbols),
            "frequency": self.frequency,
            "duration": "varies" if varies else f"{self.days} days",
            "adapter": self.adapter,
        }

    def make_source(self, directory: Any = None) -> Any:
        """The source, with the CSV files' directory where it is one of files."""
        config = {"path": directory or _csv_directory()} if self.source == "csv" else {}
        return DataSourceRegistry.get_source(self.source, **config)

    def _ingest(self, named: dict[str, Any]) -> Path:
        known = {"symbols", "start_date", "end_date", "csv_dir", "bundle_name"}
        unknown = sorted(set(named) - known)
        if unknown:
            raise TypeError(f"{self.bundle} takes no {', '.join(unknown)}")
        options = {"calendar": self.calendar} if self.calendar else {}
        result = ingest(
            self.make_source(named.get("csv_dir")),
            named.get("bundle_name", self.bundle),
            symbols=named.get("symbols") or list(self.symbols) or None,
            start=named.get("start_date"),
            end=named.get("end_date"),
            frequency=self.frequency,
            **options,
        )
        return result.path

    def _write(self, given: Mapping[str, Any]) -> None:
        """Fetch, and hand everything to zipline's writers."""
        source = self.make_source((given.get("environ") or {}).get("CSVDIR"))
        symbols = list(self.symbols) or _sync.run(source.list_symbols())
        end = min(_naive(given["end_session"]), pd.Timestamp.now().normalize())
        start = max(_naive(given["start_session"]), end - pd.Timedelta(days=self.days))
        bars = _sync.run(source.fetch(symbols, start, end, self.frequency))
        events = _sync.run(source.fetch_events(symbols, start, end))
        sids = {symbol: sid for sid, symbol in enumerate(sorted(bars["symbol"].unique()))}
        writer = "daily_bar_writer" if self.frequency == "1d" else "minute_bar_writer"
        given[writer].write(_frames(bars, sids), show_progress=bool(given.get("show_progress")))
        given["asset_db_writer"].write(equities=_equities(bars, sids, self.bundle))
        given["adjustment_writer"].write(**_adjustments(events, sids))


def _csv_directory() -> str:
    directory = os.environ.get("CSVDIR")
    if not directory:
        raise OptionError("say where the CSV files are: csv_dir, or the variable CSVDIR")
    return directory


def _naive(moment: Any) -> pd.Timestamp:
    return pd.Timestamp(moment).tz_localize(None)


def _frames(bars: pl.DataFrame, sids: Mapping[str, int]) -> Iterator[tuple[int, pd.DataFrame]]:
    for symbol, sid in sids.items():
        own = bars.filter(pl.col("symbol") == symbol)
        index = pd.DatetimeIndex(own["timestamp"].to_list())
        yield sid, pd.DataFrame({n: own[n].to_numpy() for n in VALUE_COLUMNS}, index=index)


def _equities(bars: pl.DataFrame, sids: Mapping[str, int], bundle: str) -> pd.DataFrame:
    day = pl.col("timestamp").cast(pl.Date)
    lives = bars.group_by("symbol").agg(day.min().alias("first"), day.max().alias("last"))
    rows = {symbol: (first, last) for symbol, first, last in lives.rows()}
    ends = pd.DatetimeIndex([rows[symbol][1] for symbol in sids])
    return pd.DataFrame(
        {
            "symbol": list(sids),
            "start_date": pd.DatetimeIndex([rows[symbol][0] for symbol in sids]),
            "end_date": ends,
            "auto_close_date": ends + pd.Timedelta(days=1),
            "exchange": bundle.upper().replace("-", "_"),
        },
        index=list(sids.values()),
    )


def _adjustments(events: Events, sids: Mapping[str, int]) -> dict[str, pd.DataFrame | None]:
    """Splits and dividends as zipline's writer takes them; a 4:1 split has ratio 0.25."""
    found: dict[str, pd.DataFrame | None] = {}
    for kind, frame in (("splits", events.splits), ("dividends", events.dividends)):
        known = frame.filter(pl.col("symbol").is_in(list(sids)))
        if kind == "dividends":  # zipline never pays what has no pay date
            known = known.with_columns(pl.coalesce("pay_date", "ex_date").alias("pay_date"))
        if known.is_empty():
            found[kind] = None
            continue
        sid = known["symbol"].replace_strict(sids, return_dtype=pl.Int64)
        days = {
            name: pd.DatetimeIndex(known[name].to_list())
            for name, dtype in known.schema.items()
            if dtype == pl.Date
        }
        columns: dict[str, Any] = {"sid": sid.to_numpy(), **days}
        if kind == "splits":
            columns["effective_date"] = columns.pop("ex_date")
            columns["ratio"] = known["ratio"].to_numpy()
        else:
            columns["amount"] = known["amount"].to_numpy()
        found[kind] = pd.DataFrame(columns)
    return found


_STOCKS = ("AAPL", "AMZN", "GOOGL", "MSFT", "NVDA")
_COINS = ("BTC/USDT", "ETH/USDT")
_DAILY = _Bridge(
    *("yfinance-profiling", "yfinance", "1d", _STOCKS, 730),
    *("YFinanceAdapter", "Daily bars of US stocks"),
)
_HOURLY = _Bridge(
    *("ccxt-hourly-profiling", "ccxt", "1h", _COINS, 180),
    *("CCXTAdapter", "Hourly bars of coins", "24/7"),
)
_MINUTE = _Bridge(
    *("ccxt-minute-profiling", "ccxt", "1m", _COINS, 30),
    *("CCXTAdapter", "Minute bars of coins", "24/7"),
)
_FILES = _Bridge(
    *("csv-profiling", "csv", "1d", (), 36_500),
    *("CSVAdapter", "Daily bars of the CSV files below CSVDIR"),
)
_BRIDGES = {bridge.bundle: bridge for bridge in (_DAILY, _HOURLY, _MINUTE, _FILES)}


@deprecated("YFinanceDataSource().ingest_to_bundle")
def yfinance_profiling_bundle(*arguments: Any, **named: Any) -> Path | None:
    """Daily bars of stocks from Yahoo Finance."""
    return _BRIDGES["yfinance-profiling"].call(arguments, named)


@deprecated("CCXTDataSource().ingest_to_bundle")
def ccxt_hourly_profiling_bundle(*arguments: Any, **named: Any) -> Path | None:
    """Hourly bars of coins from a cryptocurrency exchange."""
    return _BRIDGES["ccxt-hourly-profiling"].call(arguments, named)


@deprecated("CCXTDataSource().ingest_to_bundle")
def ccxt_minute_profiling_bundle(*arguments: Any, **named: Any) -> Path | None:
    """Minute bars of coins from a cryptocurrency exchange."""
    return _BRIDGES["ccxt-minute-profiling"].call(arguments, named)


@deprecated("CSVDataSource(path).ingest_to_bundle")
def csv_profiling_bundle(*arguments: Any, **named: Any) -> Path | None:
    """Daily bars of CSV files, below ``csv_dir`` or the directory in ``CSVDIR``."""
    return _BRIDGES["csv-profiling"].call(arguments, named)


@deprecated("rustybt.data.bundles.list_bundles")
def list_profiling_bundles() -> list[str]:
    """Names of the bundles that the bridge functions write."""
    return sorted(_BRIDGES)


@deprecated("rustybt.data.bundles.BundleMetadata.load")
def get_profiling_bundle_info(bundle_name: str) -> dict[str, Any] | None:
    """What one of them ingests, and what is known of it if it was; None if it is none of them."""
    bridge = _BRIDGES.get(bundle_name)
    if bridge is None:
        return None
    catalog = CacheRows()
    record = catalog.get_bundle_metadata(bundle_name)
    if record is None:
        return bridge.described()
    measures = catalog.get_quality_metrics(bundle_name) or {}
    return {**bridge.described(), **record, **measures, **_versions(bundle_name)}


def _versions(bundle_name: str) -> dict[str, Sequence[str]]:
    return {"versions": [version.path.name for version in storage.versions(bundle_name)]}
