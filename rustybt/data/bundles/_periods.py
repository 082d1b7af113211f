"""The bars of one kind, period by period: new ones written, unchanged ones linked."""

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl

from rustybt.data.bundles import _contents, _quality_rules, _screening, coverage
from rustybt.data.bundles._base import Base
from rustybt.data.bundles._encoding import stored_scales, write_bars
from rustybt.data.bundles._presence import Block, Presence
from rustybt.data.bundles._spill import Spill
from rustybt.data.bundles.panel import in_order
from rustybt.data.bundles.storage import Draft
from rustybt.data.calendars import load_calendar


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
        #: The daily bars that were put, as long as they may be judged.
        self._frames: dict[str, pl.DataFrame] = {}

    def write(self) -> Iterator[pl.DataFrame]:
        """Write every period, the earliest first; yields the bars of those that changed."""
        (self._directory / self.kind).mkdir()
        spilled = set(self._spill.periods())
        for span in sorted(spilled.union(self._before)):
            new = self._divided(span, self._spill.read(span)) if span in spilled else {}
            before = self._before.get(span, [])
            if before and not self._is_laid_out(span, before):
                yield from self._lay_out(span, before, new)
            else:
                yield from self._write_span(sorted({*before, *new}), new)
            self._judge(span)

    def _write_span(
        self, periods: list[str], new: Mapping[str, pl.DataFrame]
    ) -> Iterator[pl.DataFrame]:
        for period in periods:
            if period in new or period in self._losing:
                frame = self._merged(period, new.get(period))
                described = self._described(period, frame)
                if self._is_lost(period) or not self._is_known(period, described):
                    self._put(period, frame, described)
                    yield frame
                    continue
            self._keep(period)

    def _lay_out(
        self, span: str, before: list[str], new: Mapping[str, pl.DataFrame]
    ) -> Iterator[pl.DataFrame]:
        """Put a year that was the last one, or is now, into other files than those of the base."""
        bars = pl.concat([pl.DataFrame(schema=self._spill.schema), *new.values()])
        day = pl.col("session").cast(pl.String)
        for period in before:
            if self._is_lost(period) and self._base is not None:
                given = bars.filter(day.str.starts_with(period))
                self._base.require_again(self.kind, period, given)
        old = pl.concat([self._kept(period) for period in before]).sort("sid", "timestamp")
        self.changed += before
        parts = self._divided(span, old)
        for period in sorted({*parts, *new}):
            frame = _joined([each[period] for each in (parts, new) if period in each])
            self._put(period, frame, self._described(period, frame))
            yield frame

    @cached_property
    def _before(self) -> dict[str, list[str]]:
        """The periods of the base, by the span that they belong to."""
        spans: dict[str, list[str]] = {}
        for period in self._base.periods(self.kind) if self._base is not None else []:
            spans.setdefault(_contents.span_of(self.kind, period), []).append(period)
        return spans

    @cached_property
    def _tail(self) -> str:
        """The year that is kept in a file a month: that of the last bar."""
        newest = f"{self._spill.span[1]:%Y}" if self._spill.span is not None else ""
        for span, periods in sorted(self._before.items(), reverse=True):
            has_bars = any(
                period not in self._losing or not self._kept(period).is_empty()
                for period in periods
            )
            if span <= newest or has_bars:
                return max(span, newest)
        return newest

    def _is_divided(self, span: str) -> bool:
        return self.kind == "daily" and span == self._tail

    def _is_laid_out(self, span: str, periods: list[str]) -> bool:
        return all((period != span) == self._is_divided(span) for period in periods)

    def _divided(self, span: str, bars: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Bars of a span by period, the earliest first."""
        if not self._is_divided(span):
            return {span: bars}
        month = bars["session"].dt.month().alias("month")
        if month.n_unique() == 1:
            return {f"{span}-{month[0]:02}": bars}
        parts = bars.with_columns(month).partition_by("month", as_dict=True, include_key=False)
        return {f"{span}-{number:02}": part for (number,), part in sorted(parts.items())}

    @cached_property
    def _losing(self) -> set[str]:
        return self._base.loses_bars(self.kind) if self._base is not None else set()

    @cached_property
    def _known(self) -> dict[str, pl.DataFrame]:
        if self._base is None:
            return {}
        parts = self._known_contents.partition_by("period", as_dict=True, maintain_order=True)
        return {str(period): part for (period,), part in parts.items()}

    def _is_known(self, period: str, described: pl.DataFrame) -> bool:
        """Whether the base has the very same bars."""
        if period not in self._known:
            return described.is_empty()
        keys = ["sid", "symbol", "digest"]
        return described.select(keys).equals(self._known[period].select(keys))

    def _kept(self, period: str) -> pl.DataFrame:
        """Bars of the base, in the columns of a spill, that are not asked for anew."""
        assert self._base is not None  # noqa: S101  only a base has bars to keep
        if self._is_lost(period):
            return pl.DataFrame(schema=self._spill.schema)
        return self._base.kept(self.kind, period).select(self._spill.schema.names())

    def _merged(self, period: str, new: pl.DataFrame | None) -> pl.DataFrame:
        if self._base is None or period not in self._known:
            assert new is not None  # noqa: S101  where else would it come from
            return new
        if self._is_lost(period):
            bars = new if new is not None else pl.DataFrame(schema=self._spill.schema)
            self._base.require_again(self.kind, period, bars)
            return bars
        return _joined([self._kept(period), *([] if new is None else [new])])

    def _is_lost(self, period: str) -> bool:
        return self._base is not None and self._base.has_lost(self.kind, period)

    def _described(self, period: str, frame: pl.DataFrame) -> pl.DataFrame:
        if frame.is_empty():
            return pl.DataFrame(schema=_contents.SCHEMA)
        return _contents.describe(self.kind, period, frame)

    def _put(self, period: str, frame: pl.DataFrame, described: pl.DataFrame) -> None:
        self.changed.append(period)
        if self.kind == "daily":
            self._frames[period] = frame
        if not frame.is_empty():
            path = self._directory / self.kind / f"{period}.parquet"
            scales = write_bars(path, frame)
            self.contents.append(_contents.with_decimals(described, scales))
            self._marks.append(Block.of(frame))

    def _keep(self, period: str) -> None:
        assert self._base is not None  # noqa: S101  only a base has periods without new bars
        name = f"{self.kind}/{period}.parquet"
        self._base.link(name, self._draft)
        known = self._known[period]
        if known["price_decimals"].null_count():  # by a release that did not count them
            known = _contents.with_decimals(known, stored_scales(self._directory / name))
        self.contents.append(known)

    def _judge(self, span: str) -> None:
        if self.kind != "daily":
            return
        if self._base is not None and not self._is_touched(span):
            self.findings.append(self._base.findings.filter(pl.col("period") == span))
            return
        previous = f"{int(span) - 1:04}"
        near = [*self._contents_of(previous), *self._contents_of(span)]
        if near:
            sids = _screening.worth_judging(pl.concat(near), self._splits, date(int(span), 1, 1))
            bars, before = self._bars_of(span, sids), self._bars_of(previous, sids)
            if not bars.is_empty():
                self.findings.append(_quality_rules.judge(bars, before, self._splits, span))
            self.findings.append(_quality_rules.zero_volume(self._silent(span), span))
        self._frames = {each: bars for each, bars in self._frames.items() if each[:4] == span}

    def _bars_of(self, span: str, sids: pl.Series) -> pl.DataFrame:
        """The bars of some assets in a span that was written."""
        parts = [pl.DataFrame(schema=self._spill.schema)]
        for frame in self._contents_of(span) if len(sids) else []:
            bars = self._written(frame["period"][0])
            chosen = np.isin(frame["sid"].to_numpy(), sids.to_numpy())
            parts.append(bars[np.flatnonzero(np.repeat(chosen, frame["rows"].to_numpy()))])
        return pl.concat(parts)

    def _silent(self, span: str) -> pl.DataFrame:
        """The bars without volume in a span that was written."""
        parts = [pl.DataFrame(schema=self._spill.schema)]
        for frame in self._contents_of(span):
            if frame["silent"].any() or frame["silent"].null_count():
                bars = self._written(frame["period"][0])
                parts.append(bars[np.flatnonzero(bars["volume"].to_numpy() == 0)])
        return pl.concat(parts)

    def _contents_of(self, span: str) -> list[pl.DataFrame]:
        return [each for each in self.contents if span == self._span_of(each)]

    def _span_of(self, contents: pl.DataFrame) -> str:
        return _contents.span_of(self.kind, contents["period"][0])

    def _written(self, period: str) -> pl.DataFrame:
        if period in self._frames:
            return self._frames[period]
        assert self._base is not None  # noqa: S101  what was not put was kept
        return self._base.read(self.kind, period).select(self._spill.schema.names())

    def _is_touched(self, span: str) -> bool:
        """Whether the findings of a year may differ, by other bars or by splits."""
        spans = {_contents.span_of(self.kind, period) for period in self.changed}
        return bool(spans & {span, f"{int(span) - 1:04}"}) or span in self._resplit

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

    def missing(self, frequency: str, calendar: str) -> pl.DataFrame:
        """Sessions without a bar inside each asset's life, after all periods were written."""
        lives = self.lives
        first, last = lives["first"].min(), lives["last"].max()
        assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  not empty
        gaps = self._gaps_before(frequency)
        since = first if self._base is None else self._whole_until(gaps, calendar)
        known = gaps.filter(pl.col("last") < since)
        if since > last:
            return known
        presence = Presence(lives["symbol"].to_list(), calendar, since, last)
        if self._base is not None:
            presence.set_between(_contents.lives(self._known_contents), True)
            presence.set_between(gaps, False)
            presence.set_between(self._base.replaced, False)
        for mark in self._marks:
            presence.mark(mark)
        return pl.concat([known, presence.missing(frequency)])

    @cached_property
    def lives(self) -> pl.DataFrame:
        """See `_contents.lives`; after all periods were written."""
        return _contents.lives(pl.concat(self.contents, rechunk=True))

    def counts(self, calendar: str) -> tuple[int, int]:
        """Sessions in all lives, and how many of them have a bar."""
        lives = self.lives
        first, last = lives["first"].min(), lives["last"].max()
        assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  not empty
        sessions = load_calendar(calendar, first, last).sessions
        begins = np.searchsorted(sessions, lives["first"].to_numpy())
        ends = np.searchsorted(sessions, lives["last"].to_numpy(), side="right")
        return int((ends - begins).sum()), sum(
            int(each["sessions"].sum()) for each in self.contents
        )

    def _gaps_before(self, frequency: str) -> pl.DataFrame:
        """The sessions without a bar of the base."""
        if self._base is None:
            return pl.DataFrame(schema=coverage.LEDGER)
        return self._base.coverage.filter(
            (pl.col("frequency") == frequency)
            & pl.col("reason").is_in([coverage.NO_BAR, coverage.CLOSED])
        )

    @cached_property
    def _known_contents(self) -> pl.DataFrame:
        assert self._base is not None  # noqa: S101  who else knows
        return self._base.contents.filter(pl.col("kind") == self.kind)

    def _whole_until(self, gaps: pl.DataFrame, calendar: str) -> date:
        """A session up to which nothing changed, and on which no living asset lacks a bar."""
        assert self._base is not None  # noqa: S101  what did not change is of a base
        lives, before = self.lives, _contents.lives(self._known_contents)
        changes = [self._base.replaced["first"].min(), *(self._spill.span or ())[:1]]
        since = min((day for day in changes if isinstance(day, date)), default=date.max)
        went_on = before.join(lives, on="symbol").filter(
            (pl.col("last") < since) & (pl.col("last_right") >= since)
        )
        ends = went_on["last"].min()
        since = min(since, ends) if isinstance(ends, date) else since
        first, last = lives["first"].min(), lives["last"].max()
        assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  not empty
        if since > last:
            return since
        sessions = load_calendar(calendar, min(first, since), last).sessions
        while True:
            row = max(int(np.searchsorted(sessions, np.datetime64(since))) - 1, 0)
            session: date = sessions[row].item()
            across = gaps.filter((pl.col("first") <= session) & (pl.col("last") >= session))
            since = across["first"].min()  # type: ignore[assignment]
            if not row or since is None:
                return session


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Bars of one period, each sorted, as one frame sorted by (sid, timestamp)."""
    if len(parts) == 1:
        return parts[0]
    return in_order(pl.concat(parts, rechunk=True))
