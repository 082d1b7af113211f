"""Libraries that zipline imports and a run does not use are loaded on their first use."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import rustybt
rustybt.run_algorithm
loaded = [name for name in ("scipy.stats._stats_py", "networkx.classes", "alembic.op", "bs4")
          if name in sys.modules]
{then}
print(json.dumps({{"loaded": loaded, "result": result}}))
"""


def after(then: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(then=then)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_a_run_does_without_them():
    assert after("result = None")["loaded"] == []


def test_they_load_when_they_are_asked():
    report = after(
        "import scipy.stats, networkx\n"
        "from scipy.stats import rankdata\n"
        "result = [round(scipy.stats.norm.cdf(0), 3), networkx.path_graph(3).number_of_edges(),"
        " rankdata([3, 1]).tolist(), rankdata.__module__,"
        " type(sys.modules['scipy.stats']).__name__]"
    )
    assert report["result"] == [0.5, 2, [2.0, 1.0], "scipy.stats._stats_py", "module"]


def test_zipline_works_with_what_it_took_out_of_them():
    report = after(
        "from zipline.pipeline.factors import factor, statistical\n"
        "from zipline.assets import asset_db_migrations\n"
        "import empyrical\n"
        "result = [factor.rankdata([2, 1]).tolist(),"
        " round(statistical.linregress([1, 2, 3], [2, 4, 6]).slope, 6),"
        " asset_db_migrations.Operations.__name__,"
        " empyrical.stats.stats.skew([1.0, 2.0, 3.0])]"
    )
    assert report["result"] == [[2.0, 1.0], 2.0, "Operations", 0.0]


def test_the_import_system_is_as_it_was():
    report = after("result = [type(each).__module__ for each in sys.meta_path]")
    assert "rustybt.compat.deferred" not in report["result"]
