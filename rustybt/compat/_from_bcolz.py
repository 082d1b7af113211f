"""The bars and databases of an ingestion in zipline's format, put into a version's draft."""

import shutil
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rustybt.compat._bar_store import Bars, BarStore, StoreInfo
from rustybt.compat._bcolz_ingestion import Ingestion, Units
from rustybt.compat._door import stores_of
from rustybt.compat._same_bits import Step
from rustybt.data.bars import DAILY, MINUTE, VALUE_COLUMNS
from rustybt.data.bundles import _files
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles.panel import open_panel, write_panel
from rustybt.data.bundles.storage import Draft

#: What a price is multiplied by to become an integer of zipline's format, as a rule.
_THOUSANDTHS = 1000.0


def fill(draft: Draft, ingestion: Ingestion, step: Step) -> None:
    """Copy the databases and the bars of an ingestion, sid by sid, into a draft."""
    for path in ingestion.databases:
        shutil.copyfile(path, draft.path / path.name)
    start, end = (edge.date().isoformat() for edge in ingestion.bounds)
    info = StoreInfo(ingestion.calendar.name, start, end, "bcolz", ingestion.minutes_per_day)
    parts = {DAILY: _daily_bars(ingestion, step), MINUTE: _minute_bars(ingestion, step)}
    for frequency, store in stores_of(draft).items():
        store.save(info)
        _append(store, parts[frequency])


def _append(store: BarStore, items: Iterator[Bars]) -> None:
    """One write for all sids; none where there are none, so that the store stays empty."""
    first = next(items, None)
    if first is not None:
        store.append(batch for part in ([first], items) for batch in part)


def _daily_bars(ingestion: Ingestion, step: Step) -> Iterator[Bars]:
    for sid in ingestion.daily_lives:
        # Rows of zeros stay: zipline's reader takes the ends of a life from them.
        yield _bars(sid, *ingestion.daily_bars(sid), _THOUSANDTHS)
        step("read daily bars")


def _minute_bars(ingestion: Ingestion, step: Step) -> Iterator[Bars]:
    silent = []
    earliest = None
    for sid in ingestion.minute_sids:
        labels, units = ingestion.minute_bars(sid)
        traded = labels[ingestion.is_open_at(labels)]
        if len(traded):
            earliest = traded[0] if earliest is None else min(earliest, traded[0])
            # With those after an early close, which are then recorded as dropped.
            yield _bars(sid, labels, units, ingestion.ohlc_ratio(sid))
        else:
            silent.append(sid)
        step("read minute bars")
    if earliest is None:
        earliest = ingestion.last_opening
    for sid in silent:
        # zipline answers for a sid with a file and without bars, and refuses one without a file.
        zeros = {name: np.zeros(1, dtype=np.uint32) for name in VALUE_COLUMNS}
        yield _bars(sid, np.array([earliest]), zeros, _THOUSANDTHS)


def ratios_of(ingestion: Ingestion) -> dict[int, float]:
    """By sid, what its minute prices were multiplied by, where that is not the rule."""
    ratios = {sid: ingestion.ohlc_ratio(sid) for sid in ingestion.minute_sids}
    return {sid: ratio for sid, ratio in ratios.items() if ratio != _THOUSANDTHS}


def rewrite_minutes(draft: Draft, ratios: dict[int, float]) -> None:
    """Make a draft's panel of minutes again, with its own integers."""
    directory = draft.path / "panel" / "minute"
    axes = open_panel(directory)
    shutil.rmtree(directory)
    directory.mkdir()
    parts = (read_bars(path) for path in sorted((draft.path / "minute").glob("*.parquet")))
    write_panel(directory, axes.labels, axes.sids, parts, "bcolz", ratios)
    _files.seal(directory)


def _bars(sid: int, labels: npt.NDArray[np.int64], units: Units, ratio: float) -> Bars:
    columns = (units[name].astype(np.float64) for name in VALUE_COLUMNS)
    *prices, volume = columns
    return Bars(sid, labels, np.stack([*(price / ratio for price in prices), volume]))
