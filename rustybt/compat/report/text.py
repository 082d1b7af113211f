"""Numbers as a person reads them."""

import math

#: For a figure that zipline could not compute, such as a Sharpe ratio over one session.
NOT_AVAILABLE = "n/a"
_MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 2) -> str:
    """Format with thousands separators and a real minus sign."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0.0:
        text = text.lstrip("-")
    return text.replace("-", _MINUS)


def quantity(value: float) -> str:
    """Format a number of shares or coins: no decimals where it is whole, up to eight elsewhere."""
    return number(value, 0 if value == round(value) else 8)


def percent(value: float | None, digits: int = 2) -> str:
    """Format a fraction (0.5) as a percentage (50.00 %)."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    return f"{number(100.0 * value, digits)}%"


def count(value: int) -> str:
    """Format a whole number."""
    return f"{value:,}"


def noun(value: int, singular: str) -> str:
    """Count things: 1 fill, 1,200 fills."""
    return f"{count(value)} {singular}{'' if value == 1 else 's'}"
