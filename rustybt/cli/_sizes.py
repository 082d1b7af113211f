"""Sizes and ages as people write them."""

from datetime import UTC, datetime

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def written(size: float) -> str:
    """``812 bytes``, ``1.4 MB``: units of a thousand."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


def age(moment: datetime | None) -> str:
    """``3 days ago``; empty for None."""
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // length)
        if count >= 1:
            return f"{count:,} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
