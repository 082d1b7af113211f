"""Who supplied bars that are cached, kept with their spans: a line of JSON a row."""

import json
from collections.abc import Iterable

import polars as pl

from rustybt.data.bars import Frequency
from rustybt.data.provenance import DISAGREEMENTS, SUPPLIERS, Provenance
from rustybt.data.sources._store_index import Span
from rustybt.data.sources._time_axis import within

_SCHEMAS = {"suppliers": SUPPLIERS, "disagreements": DISAGREEMENTS}


def payload_of(provenance: Provenance | None, span: Span) -> str | None:
    """What is told of the bars of a span; None if nothing is."""
    if provenance is None:
        return None
    supplied = provenance.suppliers.filter(pl.col("symbol") == span.symbol)
    differing = provenance.disagreements.filter(pl.col("symbol") == span.symbol)
    if len(differing):
        stamps = differing["timestamp"]
        intraday = Frequency.parse(differing["frequency"][0]).intraday
        axis = stamps if intraday else stamps.dt.date()
        differing = differing.filter(within(axis, span.interval))
    lines = [
        json.dumps([name, *row])
        for name, frame in (("suppliers", supplied), ("disagreements", differing))
        for row in frame.select(pl.all().to_physical()).iter_rows()
    ]
    return "\n".join(lines) or None


def joined(payloads: Iterable[str | None]) -> str | None:
    """What is told of several spans, each line once."""
    lines = [line for payload in payloads if payload for line in payload.splitlines()]
    return "\n".join(dict.fromkeys(lines)) or None


def provenance_of(spans: Iterable[Span]) -> Provenance | None:
    """What is told of the bars of some spans, each row once; None if nothing is."""
    text = joined(span.payload for span in spans)
    if text is None:
        return None
    rows = [json.loads(line) for line in text.splitlines()]
    frames = {
        name: pl.DataFrame(
            [row[1:] for row in rows if row[0] == name], schema=_physical(schema), orient="row"
        ).select(pl.col(column).cast(dtype) for column, dtype in schema.items())
        for name, schema in _SCHEMAS.items()
    }
    return Provenance(**frames)


def _physical(schema: pl.Schema) -> pl.Schema:
    return pl.DataFrame(schema=schema).select(pl.all().to_physical()).schema
