"""Token-budget baseline: the classifier sees only the first words of each text."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import command_line
import shortened


def main() -> None:
    """Reads the options and measures what the first `--token-budget` words of a text are worth."""
    options = shortened.options_for(__doc__, {}).parse_args()
    shortened.measure("token_budget", options, lambda _, budget: lambda words: words[:budget])


if __name__ == "__main__":
    command_line.run(main)
