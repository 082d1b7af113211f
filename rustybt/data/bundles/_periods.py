"""The bars of one kind, period by period: new ones written, unchanged ones linked."""

from collections import deque
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cached_property

import polars as pl

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles import _contents, _quality_rules, coverage
from rustybt.data.bundles._base import Base
from rustybt.data.bundles._encoding import stored_scales, write_bars
from rustybt.data.bundles._presence import Block, Presence
from rustybt.data.bundles._spill import Spill
from rustybt.data.bundles.panel import in_order
from rustybt.data.bundles.storage import Draft

Scales = dict[str, int | None]


class Periods:
    """Writes the Parquet files of one kind and keeps count of what is in them.

    Parameters
    ----------
    draft : Draft
        The version.
    kind : {"daily", "minute"}
    spill : Spill
        The new bars.
    base : Base or None
        The version that they are put on.
    splits : polars.DataFrame
        Of all assets, to judge daily bars by.
    """

    def __init__(
        self, draft: Draft, kind: str, spill: Spill, base: Base | None, splits: pl.DataFrame
    ) -> None:
        self.kind = kind
        self.scales: list[Scales] = []
        self.contents: list[pl.DataFrame] = []
        self.findings: list[pl.DataFrame] = []
        #: Periods that differ from the base's, also those that are gone.
        self.changed: list[str] = []
        self._marks: list[Block] = []
        self._draft = draft
        self._directory = draft.path
        self._spill = spill
        self._base = base
        self._splits = splits
        #: The period in hand and the one before it, if they were read or written.
        self._recent: deque[tuple[str, pl.DataFrame]] = deque(maxlen=2)

    def write(self) -> Iterator[pl.DataFrame]:
        """Write every period, the earliest first; yields the bars of those that changed."""
        (self._directory / self.kind).mkdir()
        new = set(self._spill.periods())
        for period in sorted(new.union(self._before)):
            if period in new or period in self._losing:
                frame = self._merged(period, period in new)
                described = self._described(period, frame)
                if self._is_lost(period) or not self._is_known(period, described):
                    self._put(period, frame, described)
                    yield frame
                    continue
            self._keep(period)

    def _is_known(self, period: str, described: pl.DataFrame) -> bool:
        keys = ["sid", "symbol", "digest"]
        known = self._known.get(period)
        return known is not None and described.select(keys).equals(known.select(keys))

    @cached_property
    def _before(self) -> list[str]:
        return self._base.periods(self.kind) if self._base is not None else []

    @cached_property
    def _losing(self) -> set[str]:
        return self._base.loses_bars(self.kind) if self._base is not None else set()

    @cached_property
    def _known(self) -> dict[str, pl.DataFrame]:
        if self._base is None:
            return {}
        of_kind = self._base.contents.filter(pl.col("kind") == self.kind)
        parts = of_kind.partition_by("period", as_dict=True, maintain_order=True)
        return {str(period): part for (period,), part in parts.items()}

    def _merged(self, period: str, has_new: bool) -> pl.DataFrame:
        parts = [self._spill.read(period)] if has_new else []
        if self._base is None or period not in self._known:
            return parts[0]
        if self._is_lost(period):
            bars = parts[0] if parts else pl.DataFrame(schema={"symbol": pl.String()})
            self._base.require_again(self.kind, period, bars)
            return bars
        old = self._base.kept(self.kind, period)
        if not parts:
            return old
        return in_order(pl.concat([old.select(parts[0].columns), *parts], rechunk=True))

    def _is_lost(self, period: str) -> bool:
        return self._base is not None and self._base.has_lost(self.kind, period)

    def _described(self, period: str, frame: pl.DataFrame) -> pl.DataFrame:
        if frame.is_empty():
            return pl.DataFrame(schema=_contents.SCHEMA)
        return _contents.describe(self.kind, period, frame)

    def _put(self, period: str, frame: pl.DataFrame, described: pl.DataFrame) -> None:
        self.changed.append(period)
        if not frame.is_empty():
            path = self._directory / self.kind / f"{period}.parquet"
            self.scales.append(write_bars(path, frame))
            self.contents.append(described)
            self._marks.append(Block.of(frame))
        self._recent.append((period, frame))
        self._judge(period, described)

    def _keep(self, period: str) -> None:
        assert self._base is not None  # noqa: S101  only a base has periods without new bars
        name = f"{self.kind}/{period}.parquet"
        self._base.link(name, self._draft)
        self.scales.append(stored_scales(self._directory / name))
        self.contents.append(self._known[period])
        if self._is_touched(period):
            self._judge(period, self._known[period])
        else:
            self.findings.append(self._base.findings.filter(pl.col("period") == period))

    def _is_touched(self, period: str) -> bool:
        """Whether the findings of an unchanged period may differ, by other bars or by splits."""
        after_a_change = _previous(period) in self.changed
        return self.kind == "daily" and (after_a_change or period in self._resplit)

    @cached_property
    def _resplit(self) -> set[str]:
        """Years with a split that is new or gone."""
        if self._base is None:
            return set()
        was = self._base.events.splits
        keys = ["symbol", "ex_date", "ratio"]
        differ = [
            self._splits.join(was, on=keys, how="anti"),
            was.join(self._splits, on=keys, how="anti"),
        ]
        days = pl.concat([frame.select("ex_date") for frame in differ])["ex_date"]
        # The first bar after an ex-date may be of the next year, and is judged with both.
        years = {int(year) for year in days.dt.year()}
        return {f"{year + later:04}" for year in years for later in (0, 1)}

    def _judge(self, period: str, described: pl.DataFrame) -> None:
        if self.kind != "daily" or described.is_empty():
            return
        previous = _previous(period)
        before = self._described_before(previous)
        sids = _quality_rules.worth_judging(described, before, self._splits)
        if sids.is_empty():
            return
        worth = pl.col("sid").is_in(sids.implode())
        context = self._bars(previous).filter(worth) if before is not None else None
        bars = self._bars(period).filter(worth)
        self.findings.append(_quality_rules.judge(bars, context, self._splits, period))

    def _described_before(self, period: str) -> pl.DataFrame | None:
        """The contents of a period that was written or linked already."""
        return next((each for each in self.contents if each["period"][0] == period), None)

    def _bars(self, period: str) -> pl.DataFrame:
        """Bars of a period that was written or linked already."""
        for recent, frame in self._recent:
            if recent == period:
                return frame
        assert self._base is not None  # noqa: S101  only its periods are linked
        self._recent.append((period, self._base.read(self.kind, period)))
        return self._recent[-1][1]

    def presence(self, frequency: str, calendar: str) -> Presence:
        """Which sessions have a bar, after all periods were written."""
        contents = pl.concat(self.contents)
        first, last = contents["first"].min(), contents["last"].max()
        assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  not empty
        symbols = contents["symbol"].unique().sort().to_list()
        presence = Presence(symbols, calendar, first, last)
        if self._base is not None:
            self._remember(presence, frequency)
        for mark in self._marks:
            presence.mark(mark)
        return presence

    def _remember(self, presence: Presence, frequency: str) -> None:
        """What is known of the base: lives without the gaps, and without what is replaced."""
        assert self._base is not None  # noqa: S101
        of_kind = self._base.contents.filter(pl.col("kind") == self.kind)
        presence.set_between(_contents.lives(of_kind), True)
        gaps = self._base.coverage.filter(
            (pl.col("frequency") == frequency)
            & pl.col("reason").is_in([coverage.NO_BAR, coverage.CLOSED])
        )
        presence.set_between(gaps, False)
        presence.set_between(self._base.replaced, False)


def _previous(period: str) -> str:
    """The period before: the year, or the month."""
    if "-" not in period:
        return f"{int(period) - 1:04}"
    return (date.fromisoformat(f"{period}-01") - timedelta(days=1)).strftime("%Y-%m")


def most_decimals(scales: list[Scales]) -> Scales:
    """The largest scale of each column; None, for no scale, beats all."""
    merged: Scales = {}
    for name in VALUE_COLUMNS:
        found = [each[name] for each in scales]
        known = [scale for scale in found if scale is not None]
        merged[name] = max(known, default=0) if len(known) == len(found) else None
    return merged
