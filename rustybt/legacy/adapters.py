"""The adapters of the releases up to 0.3, each over the source that replaces it.

They return what they did: timestamps in microseconds without a timezone, in UTC, and prices as
decimals of eight places. Their values are those of the new sources, which are raw.
"""

import shutil
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import polars as pl

from rustybt.data.bars import VALUE_COLUMNS, Frequency, validate
from rustybt.data.errors import (
    BarValidationError,
    OutageError,
    RateLimitError,
    RustyBTError,
    SourceError,
)
from rustybt.data.sources.registry import DataSourceRegistry
from rustybt.legacy._deprecated import deprecated_class

__all__ = [
    "AlpacaAdapter",
    "AlphaVantageAdapter",
    "CCXTAdapter",
    "CSVAdapter",
    "CSVConfig",
    "DataAdapterError",
    "InvalidDataError",
    "NetworkError",
    "PolygonAdapter",
    "RateLimitError",
    "SchemaMapping",
    "ValidationError",
    "YFinanceAdapter",
]

_DECIMAL = pl.Decimal(38, 8)
#: `asset_type` of old -> `market` of new.
_MARKETS = {"stocks": "stocks", "crypto": "crypto", "forex": "forex", "equity": "stocks"}


class AdapterBase:
    """What all adapters do: their `source` is asked, and what it says is put in the old form.

    Attributes
    ----------
    source : DataSource
        What replaces the adapter.
    """

    source: Any

    async def fetch(
        self, symbols: list[str], start_date: Any, end_date: Any, resolution: str
    ) -> pl.DataFrame:
        """Bars in the old form.

        Parameters
        ----------
        symbols : list of str
            All that a file has, if empty.
        start_date, end_date : pandas.Timestamp
        resolution : str
            ``1d``, ``1h``, ``1m``, ...

        Returns
        -------
        polars.DataFrame
            ``timestamp`` (Datetime in microseconds, the START of an intraday bar, UTC),
            ``symbol``, and the five values as Decimal(38, 8).
        """
        wanted = list(symbols) or await self.source.list_symbols()
        bars = await self.source.fetch(wanted, start_date, end_date, resolution)
        frequency = Frequency.parse(resolution)
        moment = pl.col("timestamp")
        if frequency.intraday:
            moment = moment.dt.replace_time_zone(None) - frequency.duration
        return bars.select(
            moment.cast(pl.Datetime("us")).alias("timestamp"),
            "symbol",
            *(pl.col(name).round(8).cast(_DECIMAL) for name in VALUE_COLUMNS),
        )

    def validate(self, df: pl.DataFrame) -> bool:
        """True if every bar of a frame can be true.

        Raises
        ------
        BarValidationError
            If one cannot.
        """
        floats = df.with_columns(pl.col(VALUE_COLUMNS).cast(pl.Float64))
        findings = validate(floats.sort("symbol", "timestamp"))
        if not findings.is_empty():
            raise BarValidationError(findings)
        return True

    def standardize(self, df: pl.DataFrame) -> pl.DataFrame:
        """The frame itself: `fetch` returns the old form already."""
        return df

    def get_metadata(self) -> Any:
        """What the source says of itself."""
        return self.source.get_metadata()

    def supports_live(self) -> bool:
        """Whether the source streams bars."""
        return bool(self.source.supports_live())

    async def ingest_to_bundle(self, *arguments: Any, **named: Any) -> Any:
        """See `DataSource.ingest_to_bundle`."""
        return await self.source.ingest_to_bundle(*arguments, **named)


@deprecated_class("rustybt.data.sources.YFinanceDataSource")
class YFinanceAdapter(AdapterBase):
    """Stocks, funds and currencies from Yahoo Finance.

    Parameters
    ----------
    request_delay, fetch_dividends, fetch_splits
        Taken and not needed: the source keeps its own pace, and events come with bundles.
    **options
        Of `YFinanceDataSource`.
    """

    def __init__(
        self,
        request_delay: float = 1.0,
        fetch_dividends: bool = True,
        fetch_splits: bool = True,
        **options: Any,
    ) -> None:
        self.request_delay = request_delay
        self.fetch_dividends_flag = fetch_dividends
        self.fetch_splits_flag = fetch_splits
        self.source = DataSourceRegistry.get_source("yfinance", **options)


@deprecated_class("rustybt.data.sources.CCXTDataSource")
class CCXTAdapter(AdapterBase):
    """Coins from a cryptocurrency exchange.

    Parameters
    ----------
    exchange_id : str
    api_key, api_secret : str, optional
    **options
        Of `CCXTDataSource`.
    """

    def __init__(
        self,
        exchange_id: str = "binance",
        api_key: str | None = None,
        api_secret: str | None = None,
        **options: Any,
    ) -> None:
        self.exchange_id = exchange_id
        self.source = DataSourceRegistry.get_source(
            "ccxt", exchange_id=exchange_id, api_key=api_key, secret=api_secret, **options
        )


@deprecated_class("rustybt.data.sources.MassiveDataSource")
class PolygonAdapter(AdapterBase):
    """Stocks, currencies and coins from Polygon, now Massive.

    Parameters
    ----------
    asset_type : str
        ``stocks``, ``forex`` or ``crypto``.
    api_key : str, optional
    **options
        Of `PolygonDataSource`.
    """

    def __init__(
        self, asset_type: str = "stocks", api_key: str | None = None, **options: Any
    ) -> None:
        market = _MARKETS.get(asset_type, asset_type)
        self.asset_type = asset_type
        self.source = DataSourceRegistry.get_source(
            "polygon", api_key=api_key, market=market, **options
        )


@deprecated_class("rustybt.data.sources.AlpacaDataSource")
class AlpacaAdapter(AdapterBase):
    """Stocks from Alpaca.

    Parameters
    ----------
    is_paper : bool
        Taken and not needed: market data is the same for both kinds of account.
    api_key, api_secret : str, optional
    **options
        Of `AlpacaDataSource`.
    """

    def __init__(
        self,
        is_paper: bool = True,
        api_key: str | None = None,
        api_secret: str | None = None,
        **options: Any,
    ) -> None:
        self.is_paper = is_paper
        self.source = DataSourceRegistry.get_source(
            "alpaca", api_key=api_key, secret_key=api_secret, **options
        )


@deprecated_class("rustybt.data.sources.AlphaVantageDataSource")
class AlphaVantageAdapter(AdapterBase):
    """Stocks, currencies and coins from Alpha Vantage.

    Parameters
    ----------
    tier : str
        ``free`` or ``premium``.
    asset_type : str
        ``stocks``, ``forex`` or ``crypto``.
    api_key : str, optional
    **options
        Of `AlphaVantageDataSource`.
    """

    def __init__(
        self,
        tier: str = "free",
        asset_type: str = "stocks",
        api_key: str | None = None,
        **options: Any,
    ) -> None:
        market = _MARKETS.get(asset_type, asset_type)
        self.tier, self.asset_type = tier, asset_type
        self.source = DataSourceRegistry.get_source(
            "alphavantage", api_key=api_key, plan=tier, market=market, **options
        )


@dataclass
class SchemaMapping:
    """Which columns of a CSV file are what.

    Attributes
    ----------
    date_column, open_column, high_column, low_column, close_column, volume_column : str
    symbol_column : str or None
    """

    date_column: str = "timestamp"
    open_column: str = "open"
    high_column: str = "high"
    low_column: str = "low"
    close_column: str = "close"
    volume_column: str = "volume"
    symbol_column: str | None = None


@dataclass
class CSVConfig:
    """How a CSV file is read.

    Attributes
    ----------
    file_path : str
    schema_mapping : SchemaMapping
    delimiter, date_format : str or None
        Found out, if None.
    has_header : bool
        Files without one cannot be read by name.
    timezone : str
    missing_data_strategy : str
        ``fail`` or ``skip``: an incomplete row is refused or left out. Nothing is interpolated.
    """

    file_path: str
    schema_mapping: SchemaMapping = field(default_factory=SchemaMapping)
    delimiter: str | None = None
    has_header: bool = True
    date_format: str | None = None
    timezone: str = "UTC"
    missing_data_strategy: str = "fail"


@deprecated_class("rustybt.data.sources.CSVDataSource")
class CSVAdapter(AdapterBase):
    """Bars of a CSV file.

    Parameters
    ----------
    config : CSVConfig

    Raises
    ------
    ValueError
        If the configuration wants missing values interpolated: prices are not made up.
    """

    def __init__(self, config: CSVConfig) -> None:
        if config.missing_data_strategy == "interpolate":
            raise ValueError("missing prices are not interpolated: use 'skip' or 'fail'")
        self.config = config
        mapping = config.schema_mapping
        path = Path(config.file_path)
        roles = {
            mapping.date_column: "timestamp",
            mapping.open_column: "open",
            mapping.high_column: "high",
            mapping.low_column: "low",
            mapping.close_column: "close",
            mapping.volume_column: "volume",
        }
        if mapping.symbol_column is not None:
            roles[mapping.symbol_column] = "symbol"
        if config.missing_data_strategy == "skip":
            directory = Path(mkdtemp(prefix="rustybt-"))
            weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
            path = _complete_rows(config, list(roles), directory)
        self.source = DataSourceRegistry.get_source(
            "csv",
            path=path,
            columns=roles,
            delimiter=config.delimiter,
            date_format=config.date_format,
            timezone=None if config.timezone == "UTC" else config.timezone,
        )


def _complete_rows(config: CSVConfig, columns: list[str], directory: Path) -> Path:
    """A copy of a file without the rows that lack one of some columns."""
    source = Path(config.file_path)
    delimiter = config.delimiter or _delimiter(source)
    frame = pl.read_csv(source, separator=delimiter, infer_schema=False)
    present = pl.all_horizontal(pl.col(name).str.strip_chars() != "" for name in columns)
    copy = directory / source.name
    frame.filter(present.fill_null(False)).write_csv(copy, separator=delimiter)
    return copy


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    return max(",;\t|", key=header.count)


#: What the adapters raised, by the errors that say it now.
DataAdapterError = RustyBTError
NetworkError = OutageError
InvalidDataError = SourceError
ValidationError = BarValidationError
