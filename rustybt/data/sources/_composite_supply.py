"""Ask providers in order, and keep a record of what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rustybt.data.bars import Frequency, empty_bars
from rustybt.data.errors import (
    AuthenticationError,
    BarValidationError,
    DateRangeError,
    DelistedSymbolError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    SourceError,
    UnadjustableError,
    UnknownSymbolError,
)
from rustybt.data.provenance import COMPARED, SUPPLIED, SUPPLIERS, Provenance
from rustybt.data.sources._composite_compare import disagreements
from rustybt.data.sources._composite_rules import Span, Supplier
from rustybt.data.sources._fetched import Fetched

#: What may make a composite source ask the next provider; ``absence`` is an answer without bars.
FALLBACKS: Mapping[str, type[RustyBTError] | None] = {
    "absence": None,
    "delisted": DelistedSymbolError,
    "invalid": BarValidationError,
    "malformed": MalformedAnswerError,
    "outage": OutageError,
    "rate_limit": RateLimitError,
    "refused": RefusedRequestError,
    "unadjustable": UnadjustableError,
    "unauthorised": AuthenticationError,
    "unknown": UnknownSymbolError,
}


@dataclass(frozen=True)
class Policy:
    """When the next provider is asked, and whether all are compared.

    Attributes
    ----------
    fallback : sequence of str
        Of `FALLBACKS`.
    tolerance : float or None
        Relative difference that is no disagreement; None if nothing is compared.
    """

    fallback: Sequence[str] = ()
    tolerance: float | None = None

    def goes_on(self, error: RustyBTError | None) -> bool:
        """Whether the next provider is asked after an error, or after an absence."""
        if error is None:
            return "absence" in self.fallback
        kinds = [FALLBACKS[name] for name in self.fallback]
        return any(kind is not None and isinstance(error, kind) for kind in kinds)


@dataclass
class Round:
    """The providers of some symbols and one span of time, asked in order."""

    symbols: Sequence[str]
    span: Span
    frequency: Frequency
    policy: Policy
    answers: dict[str, pl.DataFrame] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    errors: dict[str, RustyBTError] = field(default_factory=dict)
    absences: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[object, ...]] = field(default_factory=list)

    async def run(self, suppliers: Sequence[Supplier]) -> Fetched:
        """Ask until every symbol is settled, and then, to compare, those who were not asked."""
        waiting = list(self.symbols)
        for supplier in suppliers:
            if waiting:
                waiting = self._settle(supplier, waiting, await self._ask(supplier, waiting))
        if self.policy.tolerance is not None:
            await self._compare(suppliers)
        return self._result()

    async def _ask(self, supplier: Supplier, symbols: list[str]) -> Fetched:
        start, end = self.span.as_request()
        try:
            got = await supplier.source.fetch_available(symbols, start, end, str(self.frequency))  # type: ignore[arg-type]
        except (SourceError, BarValidationError) as error:
            return self._failed(symbols, error)
        except DateRangeError as error:
            if start is None or end is None:
                raise  # it has no first day of its own: the request has to name it
            # The range itself is true, and this provider does not reach so far back.
            return self._failed(symbols, RefusedRequestError(str(error)))
        before = self.answers.get(supplier.name, got.bars.clear())
        self.answers[supplier.name] = pl.concat([before, got.bars])
        return got

    def _failed(self, symbols: Sequence[str], error: RustyBTError) -> Fetched:
        return Fetched(empty_bars(self.frequency), dict.fromkeys(symbols, error))

    def _settle(self, supplier: Supplier, waiting: list[str], got: Fetched) -> list[str]:
        """Take what came; the symbols for which the next provider is asked."""
        counts = dict(got.bars.group_by("symbol").len().rows())
        further = []
        for symbol in waiting:
            error = got.failures.get(symbol)
            if counts.get(symbol):
                self.taken[symbol] = supplier.name
                self._note(symbol, supplier, SUPPLIED, counts[symbol])
                continue
            if error is None:
                self.absences[symbol] = got.absences.get(symbol, f"{supplier.name} has no bars")
            elif not isinstance(error, UnknownSymbolError) or symbol not in self.errors:
                # That a symbol is unknown says less than that another provider could not be asked.
                self.errors[symbol] = error
            self._note(symbol, supplier, _said(error))
            if self.policy.goes_on(error):
                further.append(symbol)
        return further

    async def _compare(self, suppliers: Sequence[Supplier]) -> None:
        symbols = [symbol for symbol in self.symbols if symbol in self.taken]
        for supplier in suppliers:
            others = [symbol for symbol in symbols if self.taken[symbol] != supplier.name]
            unasked = [symbol for symbol in others if not self._was_asked(symbol, supplier)]
            if not unasked:
                continue
            got = await self._ask(supplier, unasked)
            for symbol in unasked:
                error = got.failures.get(symbol)
                self._note(symbol, supplier, COMPARED if error is None else _said(error))

    def _was_asked(self, symbol: str, supplier: Supplier) -> bool:
        return any(row[0] == symbol and row[2] == supplier.name for row in self.rows)

    def _note(self, symbol: str, supplier: Supplier, outcome: str, bars: int = 0) -> None:
        row = (symbol, str(self.frequency), supplier.name, *self.span.days(), bars, outcome)
        self.rows.append(row)

    def _result(self) -> Fetched:
        parts = [empty_bars(self.frequency)]
        for name, bars in self.answers.items():
            own = [symbol for symbol, taken in self.taken.items() if taken == name]
            parts.append(bars.filter(pl.col("symbol").is_in(own)))
        bars = pl.concat(parts)
        differing = disagreements(
            bars, self.taken, self.answers, self.frequency, self.policy.tolerance
        )
        provenance = Provenance(pl.DataFrame(self.rows, schema=SUPPLIERS, orient="row"), differing)
        failures = {s: error for s, error in self.errors.items() if self._decides(s, error)}
        settled = self.taken.keys() | failures.keys()
        absences = {s: why for s, why in self.absences.items() if s not in settled}
        return Fetched(bars, failures, absences, provenance=provenance)

    def _decides(self, symbol: str, error: RustyBTError) -> bool:
        """Whether an error is what came of a symbol.

        One that says that a symbol is not there yields to a provider that knows it; any other
        leaves open whether there are bars.
        """
        if symbol in self.taken:
            return False
        absent = isinstance(error, UnknownSymbolError | DelistedSymbolError)
        return not absent or symbol not in self.absences


def _said(error: RustyBTError | None) -> str:
    return "no bars" if error is None else f"{type(error).__name__}: {error}"
