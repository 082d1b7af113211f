"""The bars of a daily run, without the minutes between them."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from zipline.gens.sim_engine import BAR, BEFORE_TRADING_START_BAR, SESSION_END, SESSION_START


class DailyClock:
    """What `MinuteSimulationClock` yields when every session has one minute, its close.

    Parameters
    ----------
    sessions, closes, before_trading_starts : pandas.DatetimeIndex or Series
        One element a session.
    """

    def __init__(
        self,
        sessions: pd.DatetimeIndex,
        closes: pd.Series,
        before_trading_starts: pd.DatetimeIndex,
    ) -> None:
        # Lists: an element of an index costs a microsecond.
        columns = (_instants(times) for times in (sessions, closes, before_trading_starts))
        self._bars = list(zip(*columns, strict=True))

    def __iter__(self) -> Iterator[tuple[pd.Timestamp, int]]:
        for session, close, before_trading_start in self._bars:
            yield session, SESSION_START
            # After the close there is no trading left to start.
            if before_trading_start <= close:
                yield before_trading_start, BEFORE_TRADING_START_BAR
            yield close, BAR
            yield close, SESSION_END


def _instants(times: pd.DatetimeIndex | pd.Series) -> list[pd.Timestamp]:
    return list(pd.to_datetime(times.values.astype("datetime64[ns]").astype(np.int64), utc=True))
