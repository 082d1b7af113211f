"""What is asked of providers in the benchmarks; light, so that little is measured beside it."""

from datetime import UTC, datetime

FIRST, LAST = "2010-01-04", "2019-12-31"
#: When all of it has long been final.
NOW = datetime(2020, 3, 2, 12, tzinfo=UTC)


def symbols(count: int, quote: str = "") -> list[str]:
    """The names of so many symbols."""
    return [f"S{number:04d}{quote}" for number in range(count)]
