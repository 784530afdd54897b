"""The version of this installation.

Invariant: equal to the version in `pyproject.toml`; asking the installed metadata instead would cost 20 ms a command.
"""

VERSION = "0.1.0"
