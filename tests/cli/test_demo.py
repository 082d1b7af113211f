import json
import re
import shlex
from pathlib import Path

import pytest

from rustybt.cli import demo as demo_module
from tests.cli.helpers import Invoke


@pytest.mark.slow
def test_the_demo_shows_the_main_job(invoke: Invoke, root: Path) -> None:
    pytest.importorskip("plotly")
    done = invoke("demo", "--output-dir", "out")
    assert (done.exit_code, done.stderr) == (0, "")
    for text in (
        "9,810 of 1d, 2000-03-01 to 2013-03-01, calendar XNYS",
        "3 splits, 92 dividends",
        "AAPL split 2:1 on 2000-06-21",
        "AAPL split 2:1 on 2005-02-28",
        "zipline.examples.dual_moving_average",
        "3,270 sessions",
        "rustybt-demo.html",
        f"export ZIPLINE_ROOT={root}",
    ):
        assert text in done.stdout
    assert Path("out/rustybt-demo.html").stat().st_size > 100_000
    assert max(map(len, re.findall(r"^\S.*$", done.stdout, re.MULTILINE))) <= 80
    for line in done.stdout.partition("export ")[2].splitlines()[1:]:
        _works(invoke, line)


def _works(invoke: Invoke, line: str) -> None:
    words = shlex.split(line)
    command = next(
        i for i, word in enumerate(words) if word in {"bundles", "quality", "run", "ingest"}
    )
    done = invoke(*words[command:])
    assert done.exit_code == 0, (line, done.output)


def test_a_bundle_with_other_data_is_left_alone(invoke: Invoke, prices: Path) -> None:
    invoke("ingest", "csv", prices, "--bundle", "demo")
    done = invoke("demo")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "rustybt demo --bundle NAME" in done.stderr
    assert len(json.loads(invoke("bundles", "info", "demo", "--json").stdout)["versions"]) == 1


def test_without_the_extra_the_demo_says_how_to_get_the_report(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rustybt.cli import _report

    monkeypatch.setattr(_report, "_PACKAGES", ("no_such_package",))
    monkeypatch.setattr(demo_module, "START", "2013-01-02")
    done = invoke("demo")
    assert done.exit_code == 0
    assert "pip install 'rustybt[report]'" in done.stdout
    assert not Path("rustybt-demo.html").exists()


def test_a_demo_stopped_in_its_run_says_what_is_there(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zipline.examples import dual_moving_average

    def stop(context: object, data: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dual_moving_average, "handle_data", stop)
    done = invoke("demo")
    assert done.exit_code == 130
    assert "Interrupted: bundle demo was made, and nothing after it." in done.stderr
    assert invoke("bundles", "info", "demo").exit_code == 0
