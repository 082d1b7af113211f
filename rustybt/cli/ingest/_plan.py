"""What an ingest would take, said before it is done."""

from datetime import timedelta
from typing import Any

from rustybt.cli._output import count, facts, heading
from rustybt.data.bundles.plan import Ask, Plan

#: Ranges that are listed for a person; JSON has all of them.
_MOST_ASKS = 5


def as_record(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON values."""
    return {
        "symbols": plan.symbols,
        "calls": plan.calls,
        "rows": plan.rows,
        "seconds": plan.seconds,
        "requests_per_minute": plan.requests_per_minute,
        "asks": [
            {"symbols": list(ask.symbols), "start": _text(ask.start), "end": _text(ask.end)}
            for ask in plan.asks
        ],
    }


def print_plan(bundle: str, plan: Plan) -> None:
    """Print the plan for a person."""
    heading(f"Bundle {bundle}: what the ingest would take. Nothing was asked for")
    ranges = [_range_text(ask) for ask in plan.asks[:_MOST_ASKS]]
    more = len(plan.asks) - len(ranges)
    ranges += [f"and {count(more, 'more range')}"] if more > 0 else []
    facts(
        {
            "symbols": f"{plan.symbols:,}",
            "calls": f"{plan.calls:,}" if plan.calls else "none: the source reads files",
            "rows": "all that the source has" if plan.rows is None else f"{plan.rows:,} at most",
            "time": _time_text(plan),
            "ranges": "\n".join(ranges) or "none: everything is there",
        }
    )


def _range_text(ask: Ask) -> str:
    first = _text(ask.start) or "the first that there is"
    last = _text(ask.end) or "the last that there is"
    return f"{first} to {last}: {count(len(ask.symbols), 'symbol')}"


def _text(moment: Any) -> str | None:
    return None if moment is None else str(moment).removesuffix(" 00:00:00")


def _time_text(plan: Plan) -> str | None:
    if plan.seconds is None:
        return None
    took = timedelta(seconds=round(plan.seconds))
    return f"{took} at the provider's pace of {plan.requests_per_minute:g} calls a minute"
