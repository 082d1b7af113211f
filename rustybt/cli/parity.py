"""``rustybt parity``: one algorithm under two engines, compared cell by cell."""

from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import json_option
from rustybt.cli.run import check, run_options, text_of

if TYPE_CHECKING:
    from rustybt.compat.compare import Mismatch
    from rustybt.compat.parity import Parity

#: Columns of which a difference is spelled out.
_SHOWN = 8


@click.command()
@run_options
@json_option
@click.pass_context
def parity(ctx: click.Context, /, as_json: bool, **options: Any) -> None:
    """Run an algorithm under zipline's own simulation and under the fast one, and compare.

    Where the bundle was converted from zipline's format, it is run on that as well. Exits with 0
    if every cell of the results is the same to the bit, and with 1 if one differs.

    \b
    rustybt parity -f algorithm.py -b my-data --start 2020-01-02 --end 2023-12-29
    """
    check(ctx, options)
    found = _compare(options)
    if as_json:
        from rustybt.cli._output import print_json

        print_json(_as_record(found))
    else:
        _say(found)
    ctx.exit(0 if found.identical else 1)


def _compare(options: dict[str, Any]) -> "Parity":
    from rustybt.cli._output import progress
    from rustybt.cli._quiet import quiet

    text, filename = text_of(options)
    with progress("Comparing") as update, quiet():
        from rustybt.compat.deferred import deferred

        with deferred():
            from rustybt.cli._simulation import (
                Script,
                benchmark_of,
                load_extensions,
                run_errors,
                setting_of,
            )
            from rustybt.compat.parity import parity as compared

        load_extensions(options)
        script = Script(text, filename, options["define"])
        with run_errors(filename):
            return compared(
                lambda: (script.algorithm(), setting_of(options, update), benchmark_of(options))
            )


def _say(found: "Parity") -> None:
    from rustybt.cli._output import count, facts, heading, say

    facts([("compared", ", ".join(found.sides))])
    if found.identical:
        size = (
            f"{count(found.sessions, 'session')}, {count(found.orders, 'order')}, "
            f"{count(found.transactions, 'transaction')}, all {found.cells:,} cells"
        )
        heading(f"identical: {size}")
        return
    columns = _by_column(found.differences)
    heading(
        f"{found.differing} differs in {count(len(found.differences), 'place')} of "
        f"{count(len(columns), 'column')}"
    )
    say(f"  the first of a column: {found.sides[0]} | {found.differing}")
    for first, *others in columns[:_SHOWN]:
        more = f" (and {count(len(others), 'place')} more)" if others else ""
        place = f"{first.session} {first.column}{first.path}"
        say(f"  {place}: {_plain(first.stock)} | {_plain(first.ours)}{more}")
    facts([("likely cause", found.cause)])


def _by_column(differences: "tuple[Mismatch, ...]") -> "list[list[Mismatch]]":
    """The differences column by column, in the order in which columns first differ."""
    columns: dict[str, list[Mismatch]] = {}
    for each in differences:
        columns.setdefault(each.column, []).append(each)
    return list(columns.values())


def _plain(value: object) -> str:
    """A value as Python writes it, without NumPy's name of its type."""
    import numpy as np

    return repr(value.item() if isinstance(value, np.generic) else value)


def _as_record(found: "Parity") -> dict[str, Any]:
    return {
        "identical": found.identical,
        "sides": list(found.sides),
        "sessions": found.sessions,
        "orders": found.orders,
        "transactions": found.transactions,
        "cells": found.cells,
        "differing": found.differing or None,
        "differences": [str(difference) for difference in found.differences],
        "cause": found.cause or None,
    }
