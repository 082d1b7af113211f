"""Stands in for setuptools while pip downloads a source distribution.

To download one, pip asks its build backend for the metadata. zipline-reloaded's setup.py
translates every Cython extension before it answers: a minute of work whose result is thrown away.
The distribution's own PKG-INFO says the same at once.
"""
