"""Minutes of a day from 04:00 to 20:00 in New York, and what a provider makes of them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)


def local(day, clock):
    """``"09:30"`` of a date in New York."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=NEW_YORK)


def minutes(day):
    """(start, open, high, low, close, volume) of each; the volume is the minute's number."""
    began = local(day, "04:00").astimezone(UTC)
    for number in range(960):
        price = 100 + (number * 7 % 31) / 100
        yield began + number * MINUTE, price, price + 0.5, price - 0.5, price + 0.25, number + 1.0


def joined(rows):
    """Rows as one."""
    return (
        rows[0][1],
        max(row[2] for row in rows),
        min(row[3] for row in rows),
        rows[-1][4],
        sum(row[5] for row in rows),
    )


def on_the_clock(rows, step):
    """Bars that begin at multiples of `step` of the clock, as providers have them: (start, ...)."""
    buckets = {}
    for row in rows:
        began = datetime.min.replace(tzinfo=UTC)
        buckets.setdefault(row[0] - (row[0] - began) % step, []).append(row)
    return [(start, *joined(inside)) for start, inside in buckets.items()]


def between(rows, day, *clocks):
    """Bars of a session cut at these times, labelled with their end: (end, ...)."""
    cuts = [local(day, clock) for clock in clocks]
    return [
        (end.astimezone(UTC), *joined([row for row in rows if start <= row[0] < end]))
        for start, end in pairwise(cuts)
    ]
