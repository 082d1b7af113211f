"""Files that the parity tests make once and share, also between pytest-xdist's processes."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock

from tests.parity import engines
from tests.parity.cases import Case
from tests.parity.datasets import DataSet


@dataclass(frozen=True)
class Workspace:
    """A directory of CSV data, bundles of both engines, and stock results."""

    root: Path

    def once(self, name: str, produce: Callable[[Path], object]) -> Path:
        """The path ``name``, made by ``produce`` the first time any process asks for it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                unfinished = path.with_name(f"{path.name}.unfinished")
                produce(unfinished)
                unfinished.rename(path)
        return path

    def csv(self, dataset: DataSet) -> Path:
        """The data set's CSV folder."""
        return self.once(f"csv/{dataset.name}", dataset.write)

    def stock_root(self, dataset: DataSet) -> Path:
        """A ZIPLINE_ROOT that holds the data set as a bcolz bundle."""
        csv = self.csv(dataset)
        return self.once(
            f"stock/{dataset.name}", lambda root: engines.ingest_stock(csv, root, dataset)
        )

    def our_root(self, dataset: DataSet, precision: str) -> Path:
        """A ZIPLINE_ROOT that holds the data set as a rustybt bundle."""
        csv = self.csv(dataset)
        return self.once(
            f"ours/{dataset.name}-{precision}",
            lambda root: engines.ingest_ours(csv, root, dataset, precision),
        )

    def stock_perf(self, case: Case) -> pd.DataFrame:
        """The performance frame of stock zipline, run once."""
        csv, root = self.csv(case.dataset), self.stock_root(case.dataset)
        return self.perf(f"{case.name}-stock", lambda: engines.run_stock(csv, root, case))

    def our_perf(self, case: Case, precision: str) -> pd.DataFrame:
        """The performance frame of rustybt, run once for each precision."""
        root = self.our_root(case.dataset, precision)
        return self.perf(
            f"{case.name}-{precision}", lambda: engines.run_ours(root, case, precision)
        )

    def perf(self, name: str, run: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """What ``run`` returns, kept in a file."""

        def save(path: Path) -> None:
            path.write_bytes(pickle.dumps(run()))

        return pickle.loads(self.once(f"perf/{name}.pickle", save).read_bytes())
