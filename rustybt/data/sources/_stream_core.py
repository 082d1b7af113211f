"""What a stream decides: which bar an update belongs to, when it is final, what was missed.

A state machine without I/O that is handed the time. For each symbol it knows the label up to
which everything is settled, and the bars that are still open behind it. A bar is settled

- by the provider, if it says that the bar is closed, or sends the next one and never looks back;
- by the clock, once it has ended and the feed's lag has passed;
- by `DataSource.fetch`, if the connection was not up from its first moment to its last, or if the
  feed only shows samples. Bars behind it wait, so that what is final comes in order.

A symbol that the connection was up for and that no update came for had no trade.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rustybt.data.bars import Bar
from rustybt.data.errors import MalformedAnswerError
from rustybt.data.sources._stream_grid import Grid, Label


@dataclass(frozen=True)
class Tick:
    """A trade, or what a provider shows of it.

    Attributes
    ----------
    time : datetime.datetime
        Aware, UTC.
    size : float
        Shares or coins.
    """

    symbol: str
    time: datetime
    price: float
    size: float


@dataclass(frozen=True)
class Piece:
    """A finer bar, of which the wanted ones are made. Sent again, it replaces itself.

    Attributes
    ----------
    bar : Bar
        Labelled at its end.
    """

    bar: Bar


#: What a feed yields. A `Bar` is whole: it replaces what is known of it, and `final` means that
#: the provider says so.
Update = Bar | Tick | Piece


@dataclass(frozen=True)
class Rules:
    """What the updates of a feed are worth.

    Attributes
    ----------
    lag : timedelta
        How long after its end a bar may still change on the feed.
    published : timedelta
        How long after its end `DataSource.fetch` has a bar.
    official : bool
        Whether bars made of the updates are those that `DataSource.fetch` returns. If not, what
        is seen is only forming, and final bars are fetched.
    ordered : bool
        Whether the feed never returns to a bar once it has sent a later one of that symbol.
    sessions_only : bool
        Whether intraday bars are those of the sessions of the source's calendar, as the ones of
        `DataSource.fetch` are; what the feed says of other hours is left alone.
    """

    lag: timedelta
    published: timedelta
    official: bool = True
    ordered: bool = False
    sessions_only: bool = False


@dataclass(frozen=True)
class Request:
    """Bars to fetch: all of these symbols from `first` to `last`, both included."""

    symbols: tuple[str, ...]
    first: Label
    last: Label


#: Bars that one request may span; the rest is asked for when it has been answered.
_SPAN = 5_000
#: Bars of a symbol that wait behind one to be fetched; more are fetched again later.
_HELD = 500
#: How often `fetch` is asked for a bar that was seen on the feed, before its absence is believed.
_ASKED = 6


@dataclass
class _Lane:
    """One symbol's state."""

    symbol: str
    #: Up to where everything is settled, and the last bar that the consumer has.
    done: Label
    given: Label
    #: Bars not settled yet, by label; and the finer bars that some were made of.
    open: dict[Label, Bar] = field(default_factory=dict)
    pieces: dict[Label, dict[datetime, Bar]] = field(default_factory=dict)
    #: Bars that began before it are not held to be complete; see `StreamCore.connected`.
    trusted_since: datetime | None = None
    last_final: Bar | None = None
    in_flight: bool = False
    asked: int = 0
    retry_at: datetime | None = None

    def forget_settled(self) -> None:
        for label in [each for each in self.open if each <= self.done]:
            del self.open[label]
            self.pieces.pop(label, None)


class StreamCore:
    """The decisions of one stream.

    Parameters
    ----------
    grid : Grid
    rules : Rules
    done : mapping of str to label
        By symbol, the label of the last bar that the caller has; what follows will be given.
    """

    def __init__(self, grid: Grid, rules: Rules, done: Mapping[str, Label]) -> None:
        self._grid = grid
        self._rules = rules
        self._lanes = {symbol: _Lane(symbol, label, label) for symbol, label in done.items()}
        self._out: list[Bar] = []
        #: Updates that said something else of a bar than what was given as final.
        self.late = 0
        #: Final bars that had to be fetched.
        self.fetched = 0

    def drain(self) -> list[Bar]:
        """What is to be given to the consumer now."""
        out, self._out = self._out, []
        return out

    def connected(self, now: datetime) -> None:
        """From now on every update arrives."""
        for lane in self._lanes.values():
            lane.trusted_since = now

    def disconnected(self, now: datetime) -> None:
        """From now on updates are lost."""
        self.advance(now)
        for lane in self._lanes.values():
            lane.trusted_since = None

    def take(self, update: Update, now: datetime) -> datetime | None:
        """Take in an update; those of other symbols are none of ours.

        Returns
        -------
        datetime or None
            The symbol's own `deadline`.

        Raises
        ------
        MalformedAnswerError
            If a bar cannot be true.
        """
        bar = update.bar if isinstance(update, Piece) else update
        lane = self._lanes.get(bar.symbol)
        known = self._merged(lane, update) if lane else None
        if lane is None or known is None:
            return None
        label, given = known.timestamp, lane.last_final
        if label <= lane.given:
            lane.pieces.pop(label, None)
            whole = given and given.timestamp == label and not isinstance(update, Piece)
            self.late += bool(whole and replace(known, final=True) != given)
            return None
        # Nothing was given behind it yet: what comes late then still comes in order.
        lane.done = min(lane.done, self._grid.before(label))
        before = lane.open.get(label)
        lane.open[label] = known
        self._settle(lane, now)
        if label > lane.done and known != before:
            self._out.append(replace(known, final=False))
        self._bound(lane)
        return self._deadline(lane)

    def stalled(self, now: datetime) -> None:
        """Nothing was taken in for a while, though there may have been something to take."""
        for lane in self._lanes.values():
            if lane.trusted_since is not None:
                lane.trusted_since = now

    def advance(self, now: datetime) -> None:
        """Settle what the clock settles."""
        for lane in self._lanes.values():
            self._settle(lane, now)

    def requests(self, now: datetime) -> list[Request]:
        """What is to be fetched now; each must be answered, or said to have failed."""
        due: dict[tuple[Label, Label], list[str]] = {}
        last = self._grid.last_ended(now - self._rules.published)
        for lane in self._lanes.values():
            first = self._grid.after(lane.done)
            waits = lane.in_flight or (lane.retry_at is not None and now < lane.retry_at)
            if waits or first > last or not self._is_doubtful(lane, first):
                continue
            due.setdefault((first, self._last_doubtful(lane, first, last)), []).append(lane.symbol)
            lane.in_flight = True
        return [Request(tuple(symbols), *span) for span, symbols in due.items()]

    def answered(self, request: Request, bars: Iterable[Bar], now: datetime) -> None:
        """Take in what `fetch` returned for a request, of the symbols that it could be had for."""
        found: dict[str, dict[Label, Bar]] = {symbol: {} for symbol in request.symbols}
        for bar in bars:
            found[bar.symbol][bar.timestamp] = bar
        for symbol, rows in found.items():
            lane = self._lanes[symbol]
            lane.in_flight = False
            self._take_fetched(lane, request, rows, now)
            self._settle(lane, now)

    def failed(self, symbols: Sequence[str], now: datetime, wait: timedelta) -> None:
        """A request could not be answered for these symbols; ask again after a while."""
        for symbol in symbols:
            self._lanes[symbol].in_flight = False
            self._lanes[symbol].retry_at = now + wait

    def deadline(self) -> datetime | None:
        """When `advance` and `requests` have something to do next, if nothing else happens."""
        moments = [self._deadline(lane) for lane in self._lanes.values()]
        return min((each for each in moments if each is not None), default=None)

    def _deadline(self, lane: _Lane) -> datetime | None:
        if lane.in_flight:
            return None
        following = self._grid.after(lane.done)
        if self._is_doubtful(lane, following):
            moment = self._grid.end(following) + self._rules.published
            return max(moment, lane.retry_at) if lane.retry_at else moment
        return self._grid.end(min(lane.open)) + self._rules.lag if lane.open else None

    def _merged(self, lane: _Lane, update: Update) -> Bar | None:
        """The bar that an update belongs to, as it is known with it."""
        if isinstance(update, Bar):
            return _require_true(update) if self._grid.has(update.timestamp) else None
        if isinstance(update, Tick):
            label, price = self._grid.holding(update.time), update.price
            if label is None:
                return None
            part = Bar(update.symbol, label, price, price, price, price, update.size, False)
            return _joined(lane.open.get(label), _require_true(part))
        part = _require_true(update.bar)
        assert isinstance(part.timestamp, datetime)  # noqa: S101  finer than a session
        label = self._grid.holding_piece(part.timestamp)
        if label is None:
            return None
        pieces = lane.pieces.setdefault(label, {})
        pieces[part.timestamp] = part
        whole = None
        for moment in sorted(pieces):
            whole = _joined(whole, replace(pieces[moment], timestamp=label, final=False))
        return whole

    def _settle(self, lane: _Lane, now: datetime) -> None:
        grid, horizon = self._grid, self._horizon(lane, now)
        while lane.done < horizon:
            following = grid.after(lane.done)
            if self._is_closed(lane, following):
                self._give(lane, lane.open[following])
                continue
            if self._is_untrusted(lane, following):
                break
            seen = min((label for label in lane.open if label <= horizon), default=None)
            if seen is None:
                lane.done = horizon
            elif self._rules.official:
                self._give(lane, lane.open[seen])
            else:
                lane.done = grid.before(seen)
                break

    def _horizon(self, lane: _Lane, now: datetime) -> Label:
        """The label up to which nothing more will be said on the feed."""
        labels = [self._grid.last_ended(now - self._rules.lag)]
        labels += [label for label in lane.open if self._is_closed(lane, label)]
        if self._rules.ordered and lane.open:
            labels.append(self._grid.before(max(lane.open)))
        return max(labels)

    def _is_closed(self, lane: _Lane, label: Label) -> bool:
        return self._rules.official and label in lane.open and lane.open[label].final

    def _is_untrusted(self, lane: _Lane, label: Label) -> bool:
        return lane.trusted_since is None or self._grid.start(label) < lane.trusted_since

    def _is_doubtful(self, lane: _Lane, label: Label) -> bool:
        unproven = not self._rules.official and label in lane.open
        return unproven or self._is_untrusted(lane, label)

    def _last_doubtful(self, lane: _Lane, first: Label, last: Label) -> Label:
        if self._rules.official and lane.trusted_since is not None:
            last = min(last, self._grid.reaching(lane.trusted_since))
        span = self._grid.end(last) - self._grid.start(first)
        longest = _SPAN * (self._grid.end(first) - self._grid.start(first))
        return last if span <= longest else self._grid.last_ended(self._grid.start(first) + longest)

    def _give(self, lane: _Lane, bar: Bar) -> None:
        lane.last_final = replace(bar, final=True)
        lane.done = lane.given = bar.timestamp
        self._out.append(lane.last_final)
        lane.forget_settled()

    def _take_fetched(
        self, lane: _Lane, request: Request, rows: Mapping[Label, Bar], now: datetime
    ) -> None:
        last = request.last
        unpublished = [label for label in lane.open if label <= last and label not in rows]
        lane.asked = lane.asked + 1 if unpublished else 0
        if unpublished and lane.asked < _ASKED:
            # It was seen, so it is there, and `fetch` will have it a little later.
            last = self._grid.before(min(unpublished))
            lane.retry_at = now + timedelta(seconds=2**lane.asked)
        for label in sorted(rows):
            if lane.done < label <= last:
                self._give(lane, rows[label])
                self.fetched += 1
        if last > lane.done:
            lane.done = last
            lane.forget_settled()

    def _bound(self, lane: _Lane) -> None:
        """Let go of bars that wait for an answer of `fetch` for too long; it will have them too."""
        if len(lane.open) > _HELD:
            newest = max(lane.open)
            lane.open = {newest: lane.open[newest]}
            lane.pieces = {newest: lane.pieces[newest]} if newest in lane.pieces else {}
            if lane.trusted_since is not None:
                lane.trusted_since = self._grid.end(newest)


def _joined(known: Bar | None, part: Bar) -> Bar:
    """A bar with what was traded after it."""
    if known is None:
        return part
    return replace(
        known,
        high=max(known.high, part.high),
        low=min(known.low, part.low),
        close=part.close,
        volume=known.volume + part.volume,
    )


def _require_true(bar: Bar) -> Bar:
    # Each price has comparisons of its own, which a NaN fails.
    inside = all(0 < bar.low <= price <= bar.high for price in (bar.open, bar.close))
    if inside and bar.high < float("inf") and 0 <= bar.volume < float("inf"):
        return bar
    raise MalformedAnswerError(
        f"{bar.symbol} {bar.timestamp}: a bar cannot be true: open {bar.open} high {bar.high} "
        f"low {bar.low} close {bar.close} volume {bar.volume}"
    )
