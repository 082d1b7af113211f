from collections.abc import Iterator

import pandas as pd
import pytest

from tests.compat.report.chromium import Chromium, find_chromium
from tests.compat.report.runs import Runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("report") / "zipline")


@pytest.fixture(scope="session")
def perfs(runs: Runs) -> dict[str, pd.DataFrame]:
    """Real performance frames by the name of what is special about them."""
    return {
        "daily": runs.daily(),
        "no benchmark": runs.daily(benchmark=False),
        "idle": runs.idle(),
        "minutes": runs.minutes(),
        "one day": runs.one_day(),
    }


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with Chromium(executable) as browser:
        yield browser
