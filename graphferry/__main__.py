"""`python -m graphferry` is the command `graphferry`."""

from __future__ import annotations

import sys

from graphferry.cli import main

if __name__ == "__main__":
    sys.exit(main())
