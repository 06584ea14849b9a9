"""``python -m headrace``: the command ``headrace``."""

from ._cli.app import main

if __name__ == "__main__":
    main()
