"""The two engines: stock zipline on bcolz and rustybt, fed from the same CSV files."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import zipline
from zipline.data import bundles
from zipline.utils.calendar_utils import get_calendar

from tests.parity.cases import Case
from tests.parity.datasets import DataSet

OHLCV = ["open", "high", "low", "close", "volume"]
DATES = ["declared_date", "record_date", "pay_date"]


def read_bars(folder: Path) -> dict[str, pd.DataFrame]:
    """Each symbol's file of a folder in symbol order, indexed by naive session or UTC minute."""
    frames = {}
    for path in sorted(folder.glob("*.csv*")):
        bars = pd.read_csv(path, index_col="date", parse_dates=["date"])
        frames[path.name.split(".")[0]] = bars[OHLCV].astype(float)
    return frames


@dataclass(frozen=True)
class StockIngest:
    """zipline's ingest function for one CSV folder, called with zipline's eleven arguments."""

    csv_root: Path
    dataset: DataSet
    daily: Mapping[str, pd.DataFrame]

    @property
    def sids(self) -> dict[str, int]:
        """Symbols in alphabetical order, from zero."""
        return {symbol: sid for sid, symbol in enumerate(self.daily)}

    def __call__(
        self,
        environ: Mapping[str, str],
        asset_db_writer: Any,
        minute_bar_writer: Any,
        daily_bar_writer: Any,
        adjustment_writer: Any,
        calendar: Any,
        start_session: pd.Timestamp,
        end_session: pd.Timestamp,
        *ignored: object,
    ) -> None:
        sessions = calendar.sessions_in_range(start_session, end_session)
        daily_bar_writer.write(
            (self.sids[symbol], dense(bars, sessions)) for symbol, bars in self.daily.items()
        )
        if "1m" in self.dataset.frequencies:
            minutes = read_bars(self.csv_root / "minute")
            minute_bar_writer.write((self.sids[symbol], bars) for symbol, bars in minutes.items())
        asset_db_writer.write(equities=self.equities(), exchanges=self.exchanges())
        adjustment_writer.write(splits=self.splits(), dividends=self.dividends())

    def equities(self) -> pd.DataFrame:
        ends = pd.DatetimeIndex([bars.index[-1] for bars in self.daily.values()])
        return pd.DataFrame(
            {
                "symbol": list(self.daily),
                "asset_name": list(self.daily),
                "start_date": [bars.index[0] for bars in self.daily.values()],
                "end_date": ends,
                "auto_close_date": ends + pd.Timedelta(days=1),
                "exchange": self.dataset.calendar,
            },
            index=list(self.sids.values()),
        )

    def exchanges(self) -> pd.DataFrame:
        name, country = self.dataset.calendar, self.dataset.country
        return pd.DataFrame(
            {"exchange": [name], "canonical_name": [name], "country_code": [country]}
        )

    def splits(self) -> pd.DataFrame:
        table = self.events("splits.csv").rename(columns={"ex_date": "effective_date"})
        table["effective_date"] = table["effective_date"].astype("datetime64[s]").astype("int64")
        return table[["sid", "effective_date", "ratio"]]

    def dividends(self) -> pd.DataFrame:
        table = self.events("dividends.csv").reindex(columns=["sid", "ex_date", "amount", *DATES])
        table[DATES] = table[DATES].astype("datetime64[ns]")
        table["pay_date"] = table["pay_date"].fillna(table["ex_date"])
        return table

    def events(self, name: str) -> pd.DataFrame:
        table = pd.read_csv(self.csv_root / name)
        table["sid"] = table.pop("symbol").map(self.sids).astype("int64")
        for column in table.columns.intersection(["ex_date", *DATES]):
            table[column] = pd.to_datetime(table[column]).astype("datetime64[ns]")
        return table


def dense(bars: pd.DataFrame, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Every session of the asset's life; bcolz holds one without a row as zeros."""
    own = sessions[sessions.slice_indexer(bars.index[0], bars.index[-1])]
    return bars.reindex(own, fill_value=0.0)


@contextlib.contextmanager
def stock_bundle(csv_root: Path, dataset: DataSet) -> Iterator[str]:
    """Register the data set with zipline for as long as the block runs."""
    daily = read_bars(csv_root / "daily")
    bundles.register(
        dataset.name,
        StockIngest(csv_root, dataset, daily),
        calendar_name=dataset.calendar,
        start_session=min(bars.index[0] for bars in daily.values()),
        end_session=max(bars.index[-1] for bars in daily.values()),
        minutes_per_day=dataset.minutes_per_day,
    )
    try:
        yield dataset.name
    finally:
        bundles.unregister(dataset.name)


def ingest_stock(csv_root: Path, zipline_root: Path, dataset: DataSet) -> None:
    """Write the data set as a bcolz bundle."""
    with stock_bundle(csv_root, dataset) as name:
        bundles.ingest(name, environ={"ZIPLINE_ROOT": str(zipline_root)})


def run_stock(csv_root: Path, zipline_root: Path, case: Case) -> pd.DataFrame:
    """Run a case with zipline on the bcolz bundle."""
    with stock_bundle(csv_root, case.dataset) as name:
        return zipline.run_algorithm(bundle=name, **arguments(case, zipline_root))


def our_bundle(dataset: DataSet, precision: str) -> str:
    """The name of the data set's rustybt bundle."""
    return f"{dataset.name}-{precision}"


def ingest_ours(csv_root: Path, zipline_root: Path, dataset: DataSet, precision: str) -> None:
    """Write the data set as a rustybt bundle, precision "full" or "bcolz"."""
    from rustybt.data.bundles.ingest import ingest
    from rustybt.data.sources.csv import CSVDataSource

    ingest(
        CSVDataSource(csv_root),
        our_bundle(dataset, precision),
        frequency=dataset.frequencies if len(dataset.frequencies) > 1 else "1d",
        calendar=dataset.calendar,
        precision=precision,
        environ={"ZIPLINE_ROOT": str(zipline_root)},
    )


def run_ours(zipline_root: Path, case: Case, precision: str) -> pd.DataFrame:
    """Run a case with rustybt on its bundle."""
    from rustybt import run_algorithm

    return run_algorithm(
        bundle=our_bundle(case.dataset, precision), **arguments(case, zipline_root)
    )


def arguments(case: Case, zipline_root: Path) -> dict[str, Any]:
    """The arguments of run_algorithm that both engines get."""
    calendar = get_calendar(case.dataset.calendar)
    start, end = pd.Timestamp(case.start), pd.Timestamp(case.end)
    return {
        **case.algorithm.functions(),
        "start": start,
        "end": end,
        "capital_base": case.capital_base,
        "data_frequency": case.data_frequency,
        "trading_calendar": calendar,
        "benchmark_returns": case.benchmark(calendar.sessions_in_range(start, end)),
        "default_extension": False,
        "environ": {"ZIPLINE_ROOT": str(zipline_root)},
    }
