"""One algorithm under zipline's simulation and under the fast one: are the results the same?"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from zipline.utils.run_algo import BenchmarkSpec

from rustybt.compat.bundles import bcolz_twin
from rustybt.compat.compare import Mismatch, Tolerance, mismatches
from rustybt.compat.run import Algorithm, Setting, run
from rustybt.data.bundles.bundle import open_bundle

#: Makes the algorithm, its setting and its benchmark anew for each run: a blotter or a module
#: that one run has changed must not reach the next.
Make = Callable[[], tuple[Algorithm, Setting, BenchmarkSpec]]


@dataclass(frozen=True)
class Side:
    """One way to run the algorithm.

    Attributes
    ----------
    name : str
    engine : {"stock", "fast"}
    on_twin : bool
        Whether zipline's own ingestion is read, that the bundle was converted from.
    """

    name: str
    engine: str
    on_twin: bool = False


STOCK = Side("zipline's simulation", "stock")
FAST = Side("the fast simulation", "fast")
BCOLZ = Side("zipline's simulation on bcolz", "stock", on_twin=True)


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    Attributes
    ----------
    sides : tuple of str
        What was run; the others are compared with the first.
    sessions, orders, transactions, cells : int
        Of the first run.
    differing : str
        The side that differs; empty if none does.
    differences : list of Mismatch
        Of that side, in the order of time.
    cause : str
        What it is likely to come from.
    """

    sides: tuple[str, ...]
    sessions: int
    orders: int
    transactions: int
    cells: int
    differing: str = ""
    differences: tuple[Mismatch, ...] = ()
    cause: str = ""

    @property
    def identical(self) -> bool:
        """Whether every cell is the same to the bit."""
        return not self.differences


def parity(make: Make) -> Parity:
    """Run an algorithm under each engine on a bundle, and compare every cell to the bit.

    Parameters
    ----------
    make : callable
        Returns algorithm, setting and benchmark, anew each time. The engine is set here.

    Raises
    ------
    UnknownBundleError
        If there is no such bundle.
    """
    sides = (BCOLZ, STOCK, FAST) if _has_twin(make()[1]) else (STOCK, FAST)
    first = _run(sides[0], make)
    facts = _facts(sides, first)
    for side in sides[1:]:
        other = _run(side, make)
        found = mismatches(first, other, exact=True)
        if found:
            cause = _cause(first, other, lambda: _run(sides[0], make))
            return Parity(**facts, differing=side.name, differences=tuple(found), cause=cause)
    return Parity(**facts)


def _has_twin(setting: Setting) -> bool:
    bundle = open_bundle(setting.bundle, setting.bundle_timestamp, setting.environ)
    twin = bcolz_twin(bundle, setting.environ)
    if twin is None:
        return False
    twin.close()
    return True


def _run(side: Side, make: Make) -> pd.DataFrame:
    algorithm, setting, benchmark = make()
    return run(algorithm, replace(setting, engine=side.engine), benchmark, on_twin=side.on_twin)


def _facts(sides: tuple[Side, ...], perf: pd.DataFrame) -> dict[str, Any]:
    listed = {name: perf.get(name, []) for name in ("orders", "transactions")}
    return {
        "sides": tuple(side.name for side in sides),
        "sessions": len(perf),
        "orders": len({order["id"] for session in listed["orders"] for order in session}),
        "transactions": sum(map(len, listed["transactions"])),
        "cells": int(perf.size),
    }


def _cause(first: pd.DataFrame, other: pd.DataFrame, again: Callable[[], pd.DataFrame]) -> str:
    if mismatches(first, again(), exact=True):
        return (
            "the algorithm does not repeat itself: two runs under one engine differ too. It draws "
            "random numbers without a seed, asks for the time, or reads something that changes"
        )
    if not mismatches(first, other):
        return f"the last digits only: every number is the same to {Tolerance().relative:g}"
    return "the engines do not agree: please report the algorithm with this output"
