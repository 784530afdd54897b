"""`python -m epic_lab.cli.lab`, where the installed command is not on the path."""

from epic_lab.cli.lab import main

if __name__ == "__main__":
    main()
