"""The metrics tracker: zipline's, with our ledger and without a look at the calendar a day."""

from typing import Any

import pandas as pd
from zipline.finance.metrics import MetricsTracker as ZiplineTracker

from rustybt.compat.engine.fills import Fills
from rustybt.compat.engine.ledger import Ledger
from rustybt.compat.engine.report import DailyReport, is_default

Span = tuple[pd.Timestamp, pd.Timestamp]


class MetricsTracker(ZiplineTracker):
    """zipline's, call for call."""

    _spans: dict[int, Span] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ledger = Ledger(self._sessions, self._capital_base, kwargs["data_frequency"])
        if self.emission_rate == "daily" and is_default(kwargs["metrics"]):
            report = DailyReport(kwargs["metrics"])
            self.start_of_simulation = report.start_of_simulation
            self.start_of_session = report.start_of_session
            self.end_of_session = report.end_of_session
            self.end_of_simulation = report.end_of_simulation

    def _execution_open_and_close(self, calendar: Any, session: pd.Timestamp) -> Span:
        """First minute and close of a session."""
        if self._spans is None:
            self._spans = _spans(calendar, self._first_session, self._last_session)
        return self._spans[session.value]

    def process_fills(self, found: Fills, dt: pd.Timestamp) -> None:
        """Take in what was filled in a bar."""
        self._ledger.process_fills(found, dt)

    def handle_market_open(self, session_label: pd.Timestamp, data_portal: Any) -> None:
        """See `zipline.finance.metrics.MetricsTracker.handle_market_open`."""
        self._ledger.events = data_portal.events
        super().handle_market_open(session_label, data_portal)


def _spans(calendar: Any, first: pd.Timestamp, last: pd.Timestamp) -> dict[int, Span]:
    rows = calendar.sessions.slice_indexer(first.tz_localize(None), last.tz_localize(None))
    sessions = calendar.sessions[rows].asi8.tolist()
    opens, closes = (
        pd.to_datetime(nanoseconds[rows], utc=True)
        for nanoseconds in (calendar.first_minutes_nanos, calendar.closes_nanos)
    )
    return dict(zip(sessions, zip(opens, closes, strict=True), strict=True))
