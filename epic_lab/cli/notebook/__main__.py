"""`python -m epic_lab.cli.notebook`, where the installed command is not on the path."""

from epic_lab.cli.notebook import main

if __name__ == "__main__":
    main()
