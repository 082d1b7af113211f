import pytest

from tests.parity.workspace import Workspace


@pytest.fixture(scope="session")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Workspace:
    """One directory for all parity tests; pytest-xdist's workers share their common parent."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if hasattr(request.config, "workerinput") else base
    return Workspace(shared / "parity")
