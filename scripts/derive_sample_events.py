"""Write rustybt's sample bars, splits and dividends from bokeh-sampledata's stocks.csv.gz.

The source carries unadjusted prices and an adjusted close of about 14 significant digits. The
factor adj_close / close is constant between ex-dates and steps on them:

- a split multiplies it by a fraction of small whole numbers (2:1 is 0.5);
- a dividend multiplies it by close / (close + amount), with the close of the ex-date itself.
  That is this source's rule (Quandl WIKI reinvests at the ex-date's close); zipline's own rule
  is 1 - amount / previous close, which gives no whole cents here.

A step that is neither is refused. Run with the path of stocks.csv.gz and the folder to write.
"""

import argparse
import gzip
from fractions import Fraction
from pathlib import Path

import polars as pl

COLUMNS = {
    "Ticker": "symbol",
    "Date": "date",
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Adj Close": "adj_close",
}
FACTOR_TOLERANCE = 1e-9  # between ex-dates the factor moves by 1e-13, on one by at least 1e-3
CENT_TOLERANCE = 1e-6
LARGEST_SPLIT_TERM = 10


def read_bars(source: Path, symbols: list[str]) -> pl.DataFrame:
    """Return the source's rows of `symbols` as text, so that every figure is copied as it is."""
    bars = pl.read_csv(source, infer_schema=False).select(list(COLUMNS)).rename(COLUMNS)
    absent = set(symbols) - set(bars["symbol"])
    if absent:
        raise SystemExit(f"{source} has no rows of {', '.join(sorted(absent))}; check --symbols")
    return bars.filter(pl.col("symbol").is_in(symbols)).sort("symbol", "date")


def factor_steps(bars: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, ex_date, close and the factor's step wherever adj_close / close moves."""
    close = pl.col("close").cast(pl.Float64)
    factor = pl.col("adj_close").cast(pl.Float64) / close
    step = factor.shift().over("symbol") / factor
    steps = bars.select("symbol", pl.col("date").alias("ex_date"), close, step.alias("step"))
    return steps.filter((pl.col("step") - 1).abs() > FACTOR_TOLERANCE)


def split_events(steps: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, ex_date and ratio (2:1 is 0.5) of the steps that are split ratios."""
    nearest = [float(Fraction(s).limit_denominator(LARGEST_SPLIT_TERM)) for s in steps["step"]]
    ratios = steps.with_columns(pl.Series("ratio", nearest, dtype=pl.Float64))
    is_split = (pl.col("ratio") - pl.col("step")).abs() < FACTOR_TOLERANCE
    return ratios.filter(is_split).select("symbol", "ex_date", "ratio")


def dividend_events(steps: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, ex_date and amount (dollars per share as traded) of the other steps.

    Raises SystemExit where the amount is not a positive number of whole cents.
    """
    exact = pl.col("close") * (1 / pl.col("step") - 1)
    amounts = steps.with_columns(exact=exact, amount=exact.round(2))
    error = (pl.col("exact") - pl.col("amount")).abs()
    doubtful = amounts.filter((error > CENT_TOLERANCE) | (pl.col("amount") <= 0))
    if doubtful.height:
        row = doubtful.row(0, named=True)
        raise SystemExit(
            f"{row['symbol']} {row['ex_date']}: the factor steps by {row['step']!r}, which is "
            f"neither a split nor a dividend in whole cents ({row['exact']!r}); look at the row"
        )
    return amounts.select("symbol", "ex_date", "amount")


def write_samples(source: Path, folder: Path, symbols: list[str]) -> None:
    """Write SYMBOL.csv.gz for each symbol, splits.csv and dividends.csv into `folder`."""
    bars = read_bars(source, symbols)
    steps = factor_steps(bars)
    splits = split_events(steps)
    dividends = dividend_events(steps.join(splits, on=["symbol", "ex_date"], how="anti"))
    folder.mkdir(parents=True, exist_ok=True)
    splits.write_csv(folder / "splits.csv")
    dividends.write_csv(folder / "dividends.csv")
    for symbol in symbols:
        text = bars.filter(symbol=symbol).drop("symbol").write_csv().encode()
        # No file name and no time in the gzip header: the same input gives the same bytes.
        with (
            (folder / f"{symbol}.csv.gz").open("wb") as raw,
            gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed,
        ):
            packed.write(text)


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="bokeh-sampledata's stocks.csv.gz")
    parser.add_argument("folder", type=Path, help="the folder to write")
    parser.add_argument("--symbols", nargs="+", default=["AAPL", "IBM", "MSFT"])
    arguments = parser.parse_args()
    write_samples(arguments.source, arguments.folder, arguments.symbols)


if __name__ == "__main__":
    main()
