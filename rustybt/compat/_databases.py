"""zipline's asset and adjustment databases, written from a bundle's Parquet files."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from zipline.pipeline.domain import BUILT_IN_DOMAINS

from rustybt.compat._layout import ADJUSTMENTS, ASSETS
from rustybt.compat.adjustment_writer import AdjustmentWriter
from rustybt.compat.asset_writer import AssetWriter
from rustybt.data.bundles.bundle import Bundle

#: Calendar -> country of the pipeline domain that trades on it.
_COUNTRIES = {domain.calendar_name: domain.country_code for domain in BUILT_IN_DOMAINS}


def build(bundle: Bundle, session_reader: Any, directory: Path) -> None:
    """Write both databases of a version into a directory."""
    _write_assets(bundle, directory / ASSETS)
    _write_adjustments(bundle, session_reader, directory / ADJUSTMENTS)


def _write_assets(bundle: Bundle, path: Path) -> None:
    assets = _with_names_of_before(bundle).to_pandas().set_index("sid")
    for name in ("start_date", "end_date", "auto_close_date"):
        assets[name] = pd.to_datetime(assets[name])
    names = sorted(set(assets["exchange"]))
    exchanges = pd.DataFrame(
        {
            "exchange": names,
            "canonical_name": names,
            "country_code": [_COUNTRIES.get(name, "??") for name in names],
        }
    )
    writer = AssetWriter(str(path))
    try:
        writer.write(equities=assets, exchanges=exchanges)
    finally:
        writer.engine.dispose()


def _with_names_of_before(bundle: Bundle) -> pl.DataFrame:
    """The assets, a row a name: zipline looks a symbol up by who owned it on a date."""
    assets, names = bundle.assets, bundle.renamed
    if names.is_empty():
        return assets
    rows = []
    for asset in assets.iter_rows(named=True):
        begun = asset["start_date"]
        for ticker, until in (
            names.filter(pl.col("sid") == asset["sid"])
            .sort("until")
            .select("ticker", "until")
            .rows()
        ):
            if until >= begun:
                end = min(until, asset["end_date"])
                rows.append({**asset, "symbol": ticker, "start_date": begun, "end_date": end})
                begun = until + timedelta(days=1)
        if begun <= asset["end_date"]:
            rows.append({**asset, "start_date": begun})
    return pl.DataFrame(rows, schema=assets.schema)


def _write_adjustments(bundle: Bundle, session_reader: Any, path: Path) -> None:
    sids = bundle.assets.select("symbol", "sid")
    events = bundle.events
    splits, mergers = (
        _to_pandas(frame.join(sids, on="symbol").rename({"ex_date": "effective_date"}))
        for frame in (events.splits, events.mergers)
    )
    # Without a pay date zipline would never pay, and it can only pay in an asset that it knows;
    # the metadata's notes say what is assumed and what is left out.
    paid = pl.coalesce("pay_date", "ex_date").alias("pay_date")
    dividends = events.dividends.join(sids, on="symbol").with_columns(paid)
    payments = sids.rename({"symbol": "payment_symbol", "sid": "payment_sid"})
    stock = events.stock_dividends.join(sids, on="symbol").join(payments, on="payment_symbol")
    stock = stock.with_columns(paid)
    with AdjustmentWriter(str(path), session_reader, overwrite=True) as writer:
        writer.write(
            splits=splits,
            mergers=mergers,
            dividends=_to_pandas(dividends),
            stock_dividends=_to_pandas(stock.drop("payment_symbol")),
        )


def _to_pandas(events: pl.DataFrame) -> pd.DataFrame | None:
    if events.is_empty():
        return None
    dates = [name for name, dtype in events.schema.items() if dtype == pl.Date]
    return events.drop("symbol").with_columns(pl.col(dates).cast(pl.Datetime("ns"))).to_pandas()
