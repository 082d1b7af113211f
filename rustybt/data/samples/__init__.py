"""Real daily prices shipped with rustybt, for trying things out and for tests; see README.md."""

from pathlib import Path

STOCKS: Path = Path(__file__).parent / "stocks"
"""Folder of AAPL, IBM and MSFT, 2000-03-01 to 2013-03-01, 3270 sessions of XNYS each.

Holds `SYMBOL.csv.gz` (date, open, high, low, close, volume, adj_close; prices in dollars and
volume in shares, unadjusted), `splits.csv` (symbol, ex_date, ratio; 2:1 is 0.5) and
`dividends.csv` (symbol, ex_date, amount in dollars per share as traded).
"""
