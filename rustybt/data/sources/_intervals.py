"""Closed intervals of whole numbers: what is covered, and what is missing. Pure functions."""

from collections.abc import Iterable
from typing import NamedTuple


class Interval(NamedTuple):
    """The numbers from `first` to `last`, both included."""

    first: int
    last: int


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """The same numbers in the fewest intervals, ascending; neighbours become one."""
    merged: list[Interval] = []
    for each in sorted(intervals):
        if merged and each.first <= merged[-1].last + 1:
            merged[-1] = Interval(merged[-1].first, max(merged[-1].last, each.last))
        else:
            merged.append(each)
    return merged


def subtract(asked: Interval, covered: Iterable[Interval]) -> list[Interval]:
    """What of `asked` lies in none of `covered`, in the fewest intervals, ascending."""
    missing = []
    begin = asked.first
    for each in merge(covered):
        if each.last < begin:
            continue
        if each.first > asked.last:
            break
        if each.first > begin:
            missing.append(Interval(begin, each.first - 1))
        begin = each.last + 1
    if begin <= asked.last:
        missing.append(Interval(begin, asked.last))
    return missing


def overlap(one: Interval, other: Interval) -> Interval | None:
    """What two intervals share; None if nothing."""
    first, last = max(one.first, other.first), min(one.last, other.last)
    return Interval(first, last) if first <= last else None
