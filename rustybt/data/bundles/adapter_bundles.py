"""The bridge functions' old place. See docs/old-names.md."""

from rustybt.legacy.bridges import (
    ccxt_hourly_profiling_bundle,
    ccxt_minute_profiling_bundle,
    csv_profiling_bundle,
    get_profiling_bundle_info,
    list_profiling_bundles,
    yfinance_profiling_bundle,
)

__all__ = [
    "ccxt_hourly_profiling_bundle",
    "ccxt_minute_profiling_bundle",
    "csv_profiling_bundle",
    "get_profiling_bundle_info",
    "list_profiling_bundles",
    "yfinance_profiling_bundle",
]
