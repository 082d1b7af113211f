"""The report in a real browser: charts are drawn, the console is clean, nothing is requested."""

from pathlib import Path

import pandas as pd
import pytest

from rustybt.compat.report import write_report
from tests.compat.report.chromium import Chromium
from tests.compat.report.runs import HOSTILE

pytestmark = pytest.mark.browser

Perfs = dict[str, pd.DataFrame]

#: Resolves to what the page says about its charts once it has drawn them or failed to.
OUTCOME = """new Promise((resolve) => {
  const look = () => {
    const outcome = document.documentElement.dataset.charts;
    outcome ? resolve(outcome) : requestAnimationFrame(look);
  };
  look();
})"""

#: For every chart, the names of its traces that have values but no shape of any size.
UNDRAWN = """Object.fromEntries([...document.querySelectorAll(".chart")].map((chart) => {
  const sized = (shape) => shape.getAttribute("d") && shape.getBoundingClientRect().width > 1;
  const shapes = (trace) => [...chart.querySelectorAll(`.scatterlayer .trace${trace.uid} path`)];
  const filled = chart._fullData.filter((trace) => trace.y.length);
  return [chart.id, filled.filter((t) => !shapes(t).some(sized)).map((trace) => trace.name)];
}))"""


_ALL = ("equity", "positions", "fills", "recorded-0", "recorded-1")
CHARTS = {"daily": _ALL, "no benchmark": _ALL, "minutes": _ALL, "one day": _ALL, "idle": _ALL[:1]}


def opened(
    chromium: Chromium, perf: pd.DataFrame, folder: Path, width: int = 1280, scheme: str = "light"
) -> Path:
    page = write_report(perf, folder / "report.html", title="A run")
    chromium.open(page, width, scheme)
    return page


@pytest.mark.parametrize(
    ("kind", "width", "scheme"),
    [
        ("daily", 1280, "light"),
        ("daily", 420, "dark"),
        ("no benchmark", 1280, "dark"),
        ("idle", 420, "light"),
        ("minutes", 1280, "light"),
        ("one day", 420, "light"),
    ],
)
def test_every_chart_is_drawn_and_nothing_else_happens(
    chromium: Chromium, perfs: Perfs, tmp_path: Path, kind: str, width: int, scheme: str
) -> None:
    page = opened(chromium, perfs[kind], tmp_path, width, scheme)
    assert chromium.run(OUTCOME) == "drawn"
    undrawn = chromium.run(UNDRAWN)
    assert undrawn == {chart: [] for chart in CHARTS[kind]}
    noise = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    assert chromium.seen(*noise) == []
    requests = [sent["request"]["url"] for sent in chromium.seen("Network.requestWillBeSent")]
    assert requests == [page.as_uri()]
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")


def test_equity_can_be_seen_on_a_log_scale(
    chromium: Chromium, perfs: Perfs, tmp_path: Path
) -> None:
    opened(chromium, perfs["daily"], tmp_path)
    chromium.run(OUTCOME)
    assert chromium.run("document.getElementById('equity').layout.yaxis.type") == "linear"
    chromium.run("document.querySelector('input[value=log]').click()")
    assert chromium.run("document.getElementById('equity').layout.yaxis.type") == "log"


def test_another_asset_can_be_chosen(chromium: Chromium, perfs: Perfs, tmp_path: Path) -> None:
    opened(chromium, perfs["daily"], tmp_path)
    chromium.run(OUTCOME)
    prices = "document.getElementById('fills').data[0].y"
    before = chromium.run(prices)
    assert chromium.run("document.getElementById('asset').selectedOptions[0].text") == "AAA"
    chromium.run(
        "const pick = document.getElementById('asset'); pick.value = '1';"
        "pick.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    assert chromium.run("document.getElementById('asset').selectedOptions[0].text") == HOSTILE
    assert chromium.run(prices) != before


def test_a_hostile_name_is_read_as_text(chromium: Chromium, perfs: Perfs, tmp_path: Path) -> None:
    opened(chromium, perfs["daily"], tmp_path)
    chromium.run(OUTCOME)
    legend = "[...document.querySelectorAll('#positions .legendtext')].map((t) => t.textContent)"
    assert HOSTILE in chromium.run(legend)


def test_charts_fit_on_paper(chromium: Chromium, perfs: Perfs, tmp_path: Path) -> None:
    opened(chromium, perfs["daily"], tmp_path)
    chromium.run(OUTCOME)
    widest = (
        "Math.max(...[...document.querySelectorAll('.main-svg')].map("
        "(svg) => svg.getBoundingClientRect().width))"
    )
    on_screen = chromium.run(widest)
    chromium.run("dispatchEvent(new Event('beforeprint'))")
    assert chromium.run(widest) <= 680
    chromium.run("dispatchEvent(new Event('afterprint'))")
    assert chromium.run(widest) == on_screen


def test_a_browser_that_is_too_old_is_told(
    chromium: Chromium, perfs: Perfs, tmp_path: Path
) -> None:
    old = chromium.call(
        "Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream"
    )
    try:
        opened(chromium, perfs["idle"], tmp_path)
        assert chromium.run(OUTCOME) == "failed"
    finally:
        chromium.call("Page.removeScriptToEvaluateOnNewDocument", identifier=old["identifier"])
    assert "a browser of 2023 or later" in chromium.run(
        "document.getElementById('failure').innerText"
    )
    assert "Total return" in chromium.run("document.body.innerText")
