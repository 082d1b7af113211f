"""Performance frames from real runs of stock zipline on a small bundle."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zipline
from zipline.api import order, order_target, record, symbol
from zipline.data import bundles
from zipline.finance import slippage

#: A name that would be markup if a page did not escape it.
HOSTILE = "<B>&</SCRIPT>"
SYMBOLS = ("AAA", HOSTILE)
DAILY_SPAN = ("2021-01-04", "2022-06-30")
MINUTE_SPAN = ("2022-06-27", "2022-06-30")


def _bars(times: pd.DatetimeIndex, sid: int) -> pd.DataFrame:
    steps = np.arange(len(times))
    close = (50.0 + 30.0 * sid) * np.exp(0.1 * np.sin(steps / (23.0 + sid)) + 0.0003 * steps)
    return pd.DataFrame(
        {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 1e6},
        index=times,
    )


def _ingest(
    environ: Any,
    asset_db_writer: Any,
    minute_bar_writer: Any,
    daily_bar_writer: Any,
    adjustment_writer: Any,
    calendar: Any,
    start_session: pd.Timestamp,
    end_session: pd.Timestamp,
    *ignored: object,
) -> None:
    sessions = calendar.sessions_in_range(start_session, end_session)
    daily_bar_writer.write((sid, _bars(sessions, sid)) for sid in range(len(SYMBOLS)))
    if len(sessions) < 10:
        minutes = calendar.sessions_minutes(start_session, end_session)
        minute_bar_writer.write((sid, _bars(minutes, sid)) for sid in range(len(SYMBOLS)))
    asset_db_writer.write(
        pd.DataFrame(
            {
                "symbol": SYMBOLS,
                "start_date": sessions[0],
                "end_date": sessions[-1],
                "auto_close_date": sessions[-1] + pd.Timedelta(days=1),
                "exchange": "XNYS",
            }
        )
    )
    adjustment_writer.write()


def _initialize(context: Any) -> None:
    context.assets = [symbol(name) for name in SYMBOLS]
    context.bar = 0
    zipline.api.set_slippage(slippage.FixedSlippage(0.02))


def _trade(context: Any, data: Any) -> None:
    """Go long the one and short the other in turns, and leave limit orders that never fill."""
    context.bar += 1
    held, other = context.assets[:: 1 if (context.bar // 30) % 2 else -1]
    if context.bar == 5:
        order(context.assets[0], 7)
    if context.bar % 30 == 1:
        order_target(held, 100)
        order_target(other, -50)
        order(held, 10, limit_price=1.0)
    price = data.current(context.assets[0], "price")
    record(price=price, thousandth=price / 1000.0, mood="calm" if context.bar % 2 else "wild")


def _idle(context: Any, data: Any) -> None:
    pass


class Runs:
    """Runs of stock zipline, each on a bundle under one folder."""

    def __init__(self, root: Path) -> None:
        self.environ: Mapping[str, str] = {"ZIPLINE_ROOT": str(root)}
        for name, (start, end) in {"report-1d": DAILY_SPAN, "report-1m": MINUTE_SPAN}.items():
            span = {"start_session": pd.Timestamp(start), "end_session": pd.Timestamp(end)}
            bundles.register(name, _ingest, calendar_name="XNYS", **span)
            bundles.ingest(name, self.environ)

    def daily(self, benchmark: bool = True) -> pd.DataFrame:
        """One and a half years; two assets, one of them short at any time."""
        return self._run("report-1d", DAILY_SPAN, _trade, "daily", benchmark)

    def idle(self) -> pd.DataFrame:
        """No order and no benchmark."""
        return self._run("report-1d", ("2021-03-01", "2021-04-30"), _idle, "daily", False)

    def minutes(self) -> pd.DataFrame:
        """Four sessions of minutes, with fills inside them."""
        return self._run("report-1m", MINUTE_SPAN, _trade, "minute", False)

    def one_day(self) -> pd.DataFrame:
        """A single session of minutes."""
        return self._run("report-1m", MINUTE_SPAN[:1] * 2, _trade, "minute", False)

    def _run(
        self, bundle: str, span: tuple[str, str], trade: Any, frequency: str, benchmark: bool
    ) -> pd.DataFrame:
        returns = None
        if benchmark:
            days = pd.bdate_range("2020-12-31", "2022-07-01")
            returns = pd.Series([0.01 * math.sin(i / 9.0) for i in range(len(days))], index=days)
        return zipline.run_algorithm(
            start=pd.Timestamp(span[0]),
            end=pd.Timestamp(span[1]),
            initialize=_initialize,
            handle_data=trade,
            capital_base=100_000.0,
            data_frequency=frequency,
            bundle=bundle,
            benchmark_returns=returns,
            environ=self.environ,
        )
