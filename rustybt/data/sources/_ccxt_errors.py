"""ccxt's errors as ours, by the names of their classes.

See https://docs.ccxt.com/#/README?id=exception-hierarchy.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    SourceError,
    UnknownSymbolError,
)

#: The nearest ancestor that stands here decides; each of these has children in ccxt.
_BY_CLASS: Mapping[str, type[SourceError]] = {
    "AuthenticationError": AuthenticationError,
    "RateLimitExceeded": RateLimitError,
    "DDoSProtection": RateLimitError,
    "BadResponse": MalformedAnswerError,
    "OperationFailed": OutageError,
    "BaseError": RefusedRequestError,
}
_ADVICE: Mapping[type[SourceError], str] = {
    AuthenticationError: ". Check the API key and what it covers",
    RateLimitError: ". Ask later, or less often",
    OutageError: ". Try later",
}
#: Characters of ccxt's message, which has the URL and the whole body, that ours repeats.
_EXCERPT = 300


def read_error(
    error: Exception, where: str, redacted: Callable[[str], str], status: int | None = None
) -> SourceError:
    """What an error of ccxt's means.

    Parameters
    ----------
    error : ccxt.BaseError
    where : str
        Exchange and symbol, for the message.
    redacted : callable
        Blots secrets out.
    status : int, optional
        Of the answer that it was read from.
    """
    names = [each.__name__ for each in type(error).__mro__]
    found = next(_BY_CLASS[name] for name in names if name in _BY_CLASS)
    if found is RefusedRequestError:  # for ccxt, also what it has no class for
        found = OutageError if error.__cause__ is not None else _by_status(status)
    said = redacted(" ".join(str(error).split()))[:_EXCERPT]
    return found(f"{where}: {names[0]}: {said}{_ADVICE.get(found, '')}")


def _by_status(status: int | None) -> type[SourceError]:
    match status:
        case 401 | 403:
            return AuthenticationError
        case 418 | 429:
            return RateLimitError
        case int() if status >= 500:
            return OutageError
    return RefusedRequestError


@contextmanager
def translated(exchange: str, symbol: str, redacted: Callable[[str], str]) -> Iterator[None]:
    """Raise what goes wrong within ccxt as one of our errors.

    ccxt takes an answer apart without looking whether it has the documented shape, so that
    another shape shows as one of Python's own errors.
    """
    from ccxt.base.errors import BadSymbol, BaseError

    where = f"{exchange} {symbol}".strip()
    try:
        yield
    except BadSymbol:
        raise UnknownSymbolError([symbol], exchange) from None
    except BaseError as error:
        raise read_error(error, where, redacted) from None
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise MalformedAnswerError(
            f"{where}: an answer is not of the shape that ccxt expects of this exchange: "
            f"{type(error).__name__} {error}"
        ) from error
