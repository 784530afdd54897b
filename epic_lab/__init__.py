"""What people run: configuration, use cases, the command line and the kernel's start-up.

Nothing is imported here, so that naming one part of the package never costs the import of another.
"""


def load_ipython_extension(shell: object) -> None:
    """Do for ``%load_ext epic_lab`` what ``from epic_lab.ipython_startup import *`` does in a profile, once per kernel."""
    from epic_lab.kernel.extension import load

    load(shell)
