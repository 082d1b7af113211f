"""Libraries that zipline imports and a run does not use are loaded on their first use."""

import json
import subprocess
import sys

import pytest

from tests.compat.simulation import simulate

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


@pytest.mark.parametrize(
    "name",
    [
        "alembic",
        "bcolz",
        "exchange_calendars.exchange_calendar_xtae",
        "networkx",
        "pyarrow",
        "requests",
        "scipy.stats",
        "sqlalchemy",
    ],
)
def test_the_import_system_has_none_of_them(name):
    assert after(f"result = {name!r} in sys.modules")["result"] is False


@pytest.mark.parametrize(
    "first", ["import sqlalchemy.orm", "from sqlalchemy import create_engine", "pass"]
)
def test_a_database_is_written_whoever_imports_sqlalchemy(first):
    report = after(
        f"{first}\n"
        "from zipline.assets import ASSET_DB_VERSION, AssetDBWriter, AssetFinder\n"
        "import zipline.assets.asset_writer as writer, zipline.utils.sqlite_utils as utils\n"
        "import sqlalchemy\n"
        "made = AssetDBWriter(sqlalchemy.create_engine('sqlite://'))\n"
        "made.init_db()\n"
        "sids = AssetFinder(made.engine).sids\n"
        "result = [ASSET_DB_VERSION + 1, utils.sa is sqlalchemy, list(sids),"
        " isinstance(writer.asset_router, sqlalchemy.Table),"
        " utils.NullPool is sqlalchemy.pool.NullPool, 'equities' in writer.asset_db_table_names]"
    )
    assert report["result"] == [8, True, [], True, True, True]


def test_what_zipline_took_out_of_them_is_the_real_thing_to_whoever_asks():
    report = after(
        "from zipline.pipeline.factors.statistical import linregress\n"
        "import scipy.stats, pickle\n"
        "result = [linregress is scipy.stats.linregress,"
        " pickle.loads(pickle.dumps(linregress)) is linregress]"
    )
    assert report["result"] == [True, True]


def test_pandas_and_polars_use_arrow_when_they_need_it():
    report = after(
        "import pandas as pd, pandas.testing, polars as pl\n"
        "made = pd.Series([1, None], dtype='int64[pyarrow]')\n"
        "names = pd.Series(['a', 'b'], dtype='string[pyarrow]')\n"
        "pandas.testing.assert_series_equal(made, made)\n"
        "import pyarrow as pa\n"
        "frame = pl.DataFrame({'a': [1, 2]})\n"
        "result = [str((made + 1).dtype), bool((made == 1).iloc[0]), names.str.upper().tolist(),"
        " pd.api.types.is_list_like(pa.array([1])), frame.to_pandas()['a'].tolist(),"
        " pl.from_arrow(frame.to_arrow()).equals(frame), pandas.testing.assert_frame_equal"
        ".__module__, pd.compat.pa_version_under10p1]"
    )
    assert report["result"] == [
        "int64[pyarrow]", True, ["A", "B"], True, [1, 2], True, "pandas._testing.asserters", False,
    ]  # fmt: skip


def test_a_calendar_is_loaded_when_it_is_asked_for():
    report = after(
        "from exchange_calendars import calendar_utils, get_calendar, get_calendar_names\n"
        "from exchange_calendars.exchange_calendar_xlon import XLONExchangeCalendar\n"
        "from zipline.utils.calendar_utils import get_calendar as zipline_calendar\n"
        "from rustybt.data.calendars import load_calendar\n"
        "import datetime\n"
        "known = calendar_utils.global_calendar_dispatcher._calendar_factories\n"
        "march = datetime.date(2020, 3, 2), datetime.date(2020, 3, 31)\n"
        "result = [type(get_calendar('LSE')) is XLONExchangeCalendar,"
        " zipline_calendar('XTKS').name, len(load_calendar('XPAR', *march).sessions),"
        " calendar_utils.XSESExchangeCalendar.__name__, known.get('XASX').__name__,"
        " known.get('nowhere'), len(get_calendar_names(include_aliases=False)) == len(known),"
        " all(isinstance(each, type) for each in dict(known).values()),"
        " all(isinstance(each, type) for _, each in known.items()),"
        " 'exchange_calendars.exchange_calendar_xtae' in sys.modules]"
    )
    assert report["result"] == [
        True, "XTKS", 22, "XSESExchangeCalendar", "XASXExchangeCalendar", None,
        True, True, True, True,
    ]  # fmt: skip


def test_bcolz_is_loaded_when_it_is_asked_for():
    report = after(
        "from zipline.data import bcolz_daily_bars as daily\n"
        "before = isinstance(1, vars(daily)['ctable'])\n"
        "import bcolz\n"
        "result = [before, daily.ctable is bcolz.ctable, vars(daily)['ctable'] is bcolz.ctable]"
    )
    assert report["result"] == [False, True, True]


def test_a_run_from_start_to_end_does_without_them(bundle):
    simulate()  # builds what is derived from the bundle
    report = after(
        "import pandas as pd\n"
        "from zipline.api import order, symbol\n"
        "perf = rustybt.run_algorithm(pd.Timestamp('2020-02-03'), pd.Timestamp('2020-02-28'),"
        " initialize=lambda context: None, handle_data=lambda *_: order(symbol('A'), 7),"
        " capital_base=1e5, bundle='b', default_extension=False)\n"
        "bought = sum(each['amount'] for day in perf['transactions'] for each in day)\n"
        "loaded = [name for name in ('alembic', 'polars', 'pyarrow', 'sqlalchemy')"
        " if name in sys.modules]\n"
        "result = [bought, loaded]"
    )
    assert report["result"] == [18 * 7, []]


def test_the_commands_do_without_them(bundle, tmp_path):
    simulate()
    script = tmp_path / "algorithm.py"
    script.write_text(
        "import sys\n"
        "def initialize(context):\n"
        "    left_out = {'alembic', 'polars', 'pyarrow', 'scipy.stats', 'sqlalchemy'}\n"
        "    print('loaded:', *left_out & {*sys.modules})\n"
    )
    span = ["--start", "2020-02-03", "--end", "2020-02-28"]
    command = [sys.executable, "-m", "rustybt", "run", "-f", str(script), "-b", "b", *span]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "loaded:\n" in done.stdout


def test_zipline_s_own_command_imports_of_ours_what_a_run_needs():
    report = after(
        "from rustybt.compat.install import activate\n"
        "activate()\n"
        "result = [name for name in ('polars', 'rustybt.compat.bar_writers',"
        " 'rustybt.data.bundles.ingest') if name in sys.modules]"
    )
    assert report["result"] == []
