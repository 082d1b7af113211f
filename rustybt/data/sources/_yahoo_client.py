"""Yahoo's charts through yfinance's network client: its browser session, cookie and crumb.

Only that part of the library is used. Its frames hide errors unless a setting of the whole
process is changed, keep past ranges in a cache of the whole process, and merge a forming bar into
its day; the answer itself, read by `_yahoo_chart`, does none of this, in an eighth of the time.
"""

from collections.abc import Mapping
from datetime import datetime
from math import ceil, floor
from typing import Any
from urllib.parse import quote

from rustybt.data.errors import (
    MalformedAnswerError,
    MissingExtraError,
    OutageError,
    RateLimitError,
)
from rustybt.data.sources._yahoo_chart import Chart, read_chart

HOST = "query2.finance.yahoo.com"


class YahooClient:
    """Asks Yahoo, from any thread.

    Parameters
    ----------
    session : curl_cffi.requests.Session or requests.Session, optional
        As yfinance takes it; by default yfinance's own, which passes for a browser.
    timeout : float
        Seconds to wait for an answer.

    Raises
    ------
    MissingExtraError
        If yfinance is not installed.
    """

    def __init__(self, session: Any = None, timeout: float = 30.0) -> None:
        try:
            from yfinance.data import YfData
        except ImportError as error:
            raise MissingExtraError("yfinance", "yfinance") from error
        # `YfData()` would hand out the one client of the process, and give it our session: this
        # one has a session, a cookie and a crumb of its own, and leaves that one alone.
        self._data: Any = type.__call__(YfData, session)
        self._timeout = timeout

    def chart(
        self, symbol: str, interval: str, start: datetime, end: datetime, extended: bool = False
    ) -> Chart | None:
        """The bars that begin from `start` to before `end`, and the events of that range.

        Parameters
        ----------
        symbol : str
        interval : str
            As Yahoo spells it.
        start, end : datetime.datetime
        extended : bool
            Whether to include trading before the open and after the close.

        Returns
        -------
        Chart or None
            None if Yahoo says that it has no bars there.

        Raises
        ------
        SourceError
            Each failure as an error of its own; see `read_chart`.
        """
        asked = {
            "period1": floor(start.timestamp()),
            "period2": ceil(end.timestamp()),
            "interval": interval,
            "includePrePost": "true" if extended else "false",
            "events": "div,splits,capitalGains",
        }
        status, content = self._get(symbol, asked)
        return read_chart(symbol, status, content, interval)

    def _get(self, symbol: str, asked: Mapping[str, Any]) -> tuple[int, bytes]:
        from peewee import PeeweeException
        from yfinance.exceptions import YFException, YFRateLimitError

        url = f"https://{HOST}/v8/finance/chart/{quote(symbol.upper(), safe='^=')}"
        try:
            answer = self._data.get(url, params=asked, timeout=self._timeout)
        except YFRateLimitError as error:
            raise RateLimitError(
                f"Yahoo says that it was asked too often (for {symbol}). Ask later, or for less"
            ) from error
        except (OSError, YFException) as error:  # every error of both HTTP clients is an OSError
            raise OutageError(f"Yahoo did not answer for {symbol}: {error}. Try later") from error
        except PeeweeException as error:
            raise OutageError(
                f"yfinance's store of cookies is in use, asked for {symbol}: {error}. Try later"
            ) from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise MalformedAnswerError(
                f"yfinance could not read Yahoo's cookie or consent, asked for {symbol}: {error!r}"
            ) from error
        return answer.status_code, answer.content
