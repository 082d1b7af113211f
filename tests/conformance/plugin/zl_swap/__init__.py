"""pytest plugin: zipline-reloaded's own tests on other readers, writers, portal and bundle core.

``pytest -p zl_swap tests/...``, in a directory that holds zipline's ``tests`` package. The
environment says what is replaced, each value as ``package.module:Name``, each optional:

ZL_SWAP_DAILY_READER, ZL_SWAP_DAILY_WRITER, ZL_SWAP_MINUTE_READER, ZL_SWAP_MINUTE_WRITER,
ZL_SWAP_PORTAL, ZL_SWAP_ADJUSTMENT_READER, ZL_SWAP_ADJUSTMENT_WRITER
    A class for the zipline class of that role (`zl_swap.roles`).
ZL_SWAP_BUNDLE_CORE
    A callable that returns a ``BundleCore``, for ``zipline.data.bundles.core._make_bundle_core``.
    What is registered by then is registered again in the new core.
ZL_SWAP_CONVERT_DAILY, ZL_SWAP_CONVERT_MINUTE
    ``convert(path) -> path``, applied to the path that a swapped reader gets when a bcolz
    directory lies there.
ZL_SWAP_INSTALL
    A callable that is called once, before anything is replaced.

ZL_SWAP_INAPPLICABLE
    A TOML file of tests that cannot apply (`zl_swap.inapplicable`); those that it names for
    one precision only are left out when ``RUSTYBT_PRECISION`` is that.
ZL_SWAP_REPORT
    Where to write what happened, as JSON.
ZL_SWAP_TRIP
    1 makes the construction of a replaced original raise, to see who does it.
"""

import os

import pytest

from zl_swap.recorder import Recorder
from zl_swap.settings import Settings
from zl_swap.swap import swap


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Replace the classes before zipline's conftest and test modules import them."""
    settings = Settings.from_environ(os.environ)
    tally = swap(settings)
    early_config.pluginmanager.register(Recorder(settings, tally), "zl_swap_recorder")
