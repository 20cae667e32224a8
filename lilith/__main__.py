"""`python -m lilith`: the command line of `lilith.cli`."""

import sys

from lilith.cli import main

if __name__ == "__main__":
    sys.exit(main())
