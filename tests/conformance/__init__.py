"""zipline-reloaded's own tests, run on rustybt's readers, writers, portal and bundle core.

``python -m tests.conformance`` fetches zipline-reloaded's source distribution from the package
index, takes its ``tests`` package out of it, and runs module after module, each in a process of
its own, with the pytest plugin in ``plugin/`` replacing zipline's classes. What each test comes
to is held against ``baseline.json``, which records the same modules on zipline as it is. Left out
are only the tests in ``not_applicable.toml``.

The zipline that is tested is the installed one. The working directory of the test processes holds
nothing but ``tests`` and pytest's settings, because the sources beside them in the distribution
would be imported first and lack the compiled extensions.
"""
