"""One self-contained HTML page about a backtest: figures, charts, provenance.

The page embeds its charting library (compressed) and makes no request of any kind, so it can
be mailed and opened offline. It needs the extra ``report``: ``pip install 'rustybt[report]'``.
"""

from rustybt.compat.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
