"""Every error that rustybt raises.

::

    RustyBTError
    ├── MissingExtraError (ImportError)          an optional package is not installed
    ├── CalendarError (ValueError)               a calendar is unknown or does not cover the dates
    ├── DateRangeError (ValueError)              dates are reversed or lie outside the data
    ├── LookAheadError (ValueError)              data from after the time that it is asked at
    ├── FrequencyError (ValueError)              a bar frequency is unknown or not to be had
    ├── BenchmarkError (ValueError)              a run has no benchmark, or it is unknown
    ├── BarSchemaError (ValueError)              a table has no usable bars: columns, types, empty
    ├── BarValidationError (ValueError)          rows that cannot be true; ``findings`` lists them
    ├── SourceError
    │   ├── UnknownSourceError (LookupError)     no source of that name
    │   ├── UnknownSymbolError (LookupError)     the source has no such symbol
    │   ├── DelistedSymbolError (LookupError)    it had, and no bars of it in the range
    │   ├── SourceFileError (OSError)            a file of the source cannot be read
    │   ├── AuthenticationError (PermissionError)  credentials are missing, refused or too narrow
    │   ├── RateLimitError (ConnectionError)     the provider wants a longer wait than is allowed
    │   ├── OutageError (ConnectionError)        the provider cannot be reached, or is broken
    │   ├── MalformedAnswerError (ValueError)    an answer is not what the provider documents
    │   ├── RefusedRequestError (ValueError)     the provider says that the request is wrong
    │   ├── UnadjustableError (ValueError)       adjusted prices cannot be turned into raw ones
    │   └── PartialFetchError                    symbols failed for different reasons
    ├── CacheError                               a cache directory cannot be used
    └── BundleError
        ├── BundleNameError (ValueError)         the name cannot be used
        ├── UnknownBundleError (LookupError)     no bundle of that name, or no version in time
        ├── BundleLockedError (TimeoutError)     another process is writing the bundle
        ├── IncompleteIngestError (LookupError)  a version was written without all that was asked
        ├── QualityError (ValueError)            a bundle's score is below what a run requires
        ├── PinnedVersionError (ValueError)      a version that is to be removed is pinned
        └── CorruptVersionError (OSError)        a file of a version is missing or damaged

Each derives from the built-in that a caller would expect to catch. A message says what
happened, where, and what to do. Warnings stand beside them: `CacheWarning`,
`StaleDataWarning` and `MissingBarsWarning`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class RustyBTError(Exception):
    """Root of every error that rustybt raises on purpose."""


class MissingExtraError(RustyBTError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed. Install it with: pip install 'rustybt[{extra}]'"
        )
        self.package = package
        self.extra = extra


class CalendarError(RustyBTError, ValueError):
    """A trading calendar is unknown or does not cover the dates asked for."""


class DateRangeError(RustyBTError, ValueError):
    """A range of dates is reversed or lies outside the data."""


class LookAheadError(RustyBTError, ValueError):
    """Data was asked for that was not known at the time."""


class FrequencyError(RustyBTError, ValueError):
    """A bar frequency is unknown, or what was asked does not have it."""


class OptionError(RustyBTError, ValueError):
    """An option has a value that it cannot have."""


class BenchmarkError(RustyBTError, ValueError):
    """A run was given no benchmark, or one that is not in the data."""


class BarSchemaError(RustyBTError, ValueError):
    """A table cannot be read as bars: a column is missing or of a wrong type, or it is empty."""


class BarValidationError(RustyBTError, ValueError):
    """Rows that cannot be true.

    Attributes
    ----------
    findings : polars.DataFrame
        One row a finding: ``rule``, ``symbol``, ``timestamp``, ``message`` and, where the
        origin is known, ``file`` and ``row``. See `rustybt.data.bars.validate`.
    """

    #: How many findings the message itself spells out.
    SHOWN = 5

    def __init__(self, findings: "pl.DataFrame", hint: str = "") -> None:
        lines = [_describe(row) for row in findings.head(self.SHOWN).iter_rows(named=True)]
        more = len(findings) - len(lines)
        if more > 0:
            lines.append(f"... and {more} more")
        noun = "row" if len(findings) == 1 else "rows"
        text = f"{len(findings)} {noun} refused:\n  " + "\n  ".join(lines)
        super().__init__(f"{text}\n{hint}" if hint else text)
        self.findings = findings


def _describe(row: dict[str, object]) -> str:
    where = []
    if row.get("file"):
        where.append(f"{row['file']}, row {row['row']}" if row.get("row") else f"{row['file']}")
    bar = [f"{row[name]}" for name in ("symbol", "timestamp") if row.get(name) is not None]
    where += [" ".join(bar)] if bar else []
    return f"{': '.join(where)}: {row['message']}"


class SourceError(RustyBTError):
    """A data source could not give what was asked."""


class UnknownSourceError(SourceError, LookupError):
    """No data source is registered under that name."""


class UnknownSymbolError(SourceError, LookupError):
    """A source does not have a symbol."""

    def __init__(self, symbols: Sequence[str], where: str, known: Sequence[str] = ()) -> None:
        noun = "symbol" if len(symbols) == 1 else "symbols"
        listed = ", ".join(sorted(known)[:12]) + (", ..." if len(known) > 12 else "")
        hint = f" It has: {listed}." if known else ""
        super().__init__(f"{where} has no {noun} {', '.join(symbols)}.{hint}")
        self.symbols = tuple(symbols)
        self.where = where


class DelistedSymbolError(SourceError, LookupError):
    """A symbol is no longer traded, and the source has no bars of it in the range asked for."""


class SourceFileError(SourceError, OSError):
    """A file of a source does not exist or cannot be read."""


class AuthenticationError(SourceError, PermissionError):
    """Credentials are missing, were refused, or do not cover what was asked."""


class RateLimitError(SourceError, ConnectionError):
    """A provider asks to wait longer than the caller is willing to.

    Attributes
    ----------
    retry_after : float or None
        Seconds after which the provider may be asked again, if it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutageError(SourceError, ConnectionError):
    """A provider cannot be reached, answers with errors of its own, or did so just now."""


class MalformedAnswerError(SourceError, ValueError):
    """An answer of a provider is not what it documents: cut off, not JSON, fields missing."""


class RefusedRequestError(SourceError, ValueError):
    """A provider says that a request is wrong."""


class UnadjustableError(SourceError, ValueError):
    """A provider's adjusted prices cannot be turned into raw ones with its own events."""


class PartialFetchError(SourceError):
    """Some symbols could not be fetched, for more than one reason.

    Attributes
    ----------
    failures : mapping of str to RustyBTError
        By symbol.
    """

    #: How many failures the message itself spells out.
    SHOWN = 8

    def __init__(self, failures: Mapping[str, RustyBTError]) -> None:
        lines = [f"{symbol}: {error}" for symbol, error in list(failures.items())[: self.SHOWN]]
        more = len(failures) - len(lines)
        lines += [f"... and {more} more"] if more > 0 else []
        super().__init__(f"{len(failures)} symbols failed:\n  " + "\n  ".join(lines))
        self.failures = dict(failures)


def joined(failures: Mapping[str, RustyBTError]) -> RustyBTError:
    """The error that says why these symbols, at least one, could not be had.

    The error itself if there is one, a single `UnknownSymbolError` if all are that, else
    `PartialFetchError`.
    """
    errors = list(failures.values())
    if len(errors) == 1:
        return errors[0]
    unknown = [error for error in errors if isinstance(error, UnknownSymbolError)]
    if len(unknown) == len(errors):
        return UnknownSymbolError(sorted(failures), unknown[0].where)
    return PartialFetchError(failures)


class CacheError(RustyBTError):
    """A cache directory cannot be used."""


class CacheWarning(UserWarning):
    """Something is wrong with a cache; the answer is right, and was fetched instead."""


class MissingBarsWarning(UserWarning):
    """An asset has no bars where they were asked for, and its values are null."""


class LiveDataWarning(UserWarning):
    """Bars cannot be streamed, and those that have ended are fetched instead."""


class StaleDataWarning(UserWarning):
    """A source cannot be reached, and older bars than its freshness policy allows are served."""


class BundleError(RustyBTError):
    """Something is wrong with a bundle."""


class BundleNameError(BundleError, ValueError):
    """A bundle's name cannot be used."""


class UnknownBundleError(BundleError, LookupError):
    """There is no bundle of that name, or none was ingested by the time asked for."""


class BundleLockedError(BundleError, TimeoutError):
    """Another process is writing the bundle."""


class IncompleteIngestError(BundleError, LookupError):
    """A version was written, and something that was asked for is not in it.

    Attributes
    ----------
    result : rustybt.data.bundles.IngestResult
        The version, with its ``failures`` and ``absences`` by symbol.
    """

    #: How many symbols the message itself spells out.
    SHOWN = 8

    def __init__(self, result: Any) -> None:
        missing = {**result.absences, **result.failures}
        lines = [f"{symbol}: {why}" for symbol, why in list(missing.items())[: self.SHOWN]]
        more = len(missing) - len(lines)
        lines += [f"... and {more} more"] if more > 0 else []
        noun = "symbol" if len(missing) == 1 else "symbols"
        super().__init__(
            f"{len(missing)} {noun} of {len(missing) + len(result.metadata.symbols)} could not be "
            "ingested:\n  " + "\n  ".join(lines) + f"\nThe others were written to {result.path}. "
            "Ask again for those, or accept what is there (allow_partial, --allow-partial)"
        )
        self.result = result


class QualityError(BundleError, ValueError):
    """A bundle is not as good as a run requires it to be."""


class PinnedVersionError(BundleError, ValueError):
    """A version that is to be removed is pinned."""


class CorruptVersionError(BundleError, OSError):
    """A file of a bundle's version is missing or is not what was written."""
