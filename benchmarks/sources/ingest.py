"""``python -m benchmarks.sources.ingest URL KEY SYMBOLS``: one ingest, what it took, as JSON."""

import json
import resource
import sys
import time

from benchmarks.sources.asked import FIRST, LAST, NOW, symbols
from rustybt.data.bundles.ingest import ingest
from rustybt.data.sources.polygon import PolygonDataSource


def main(base_url: str, key: str, count: str) -> None:
    """Ingest so many symbols of the Massive format, and print what it took."""
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = PolygonDataSource(key, base_url=base_url, clock=lambda: NOW)
    wall, cpu = time.perf_counter(), time.process_time()
    result = ingest(source, "bench", symbols=symbols(int(count)), start=FIRST, end=LAST)
    taken = {
        "rows": result.metadata.row_count,
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "imported_mb": imported / 1024,
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main(*sys.argv[1:])
