"""`python -m epic_lab.cli.synccode`, where the installed command is not on the path."""

from epic_lab.cli.start import synccode

if __name__ == "__main__":
    synccode()
