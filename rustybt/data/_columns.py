"""Names of the columns of bars, for those who read them as arrays and have no use for Polars."""

PRICE_COLUMNS = ("open", "high", "low", "close")
VALUE_COLUMNS = (*PRICE_COLUMNS, "volume")
