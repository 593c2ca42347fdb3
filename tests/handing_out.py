"""Whether pytest will hand the tests out to processes of its own (pytest-xdist), before it has read its options."""

import argparse
import os
import shlex
from collections.abc import Sequence


def hands_out(arguments: Sequence[str]) -> bool:
    """Return whether the options of a command line, with those in PYTEST_ADDOPTS before them, ask for processes."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("-n", "--numprocesses", dest="processes", default="0")
    options.add_argument("--pdb", action="store_true")
    known, _ = options.parse_known_args([*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *arguments])
    # So many as there are processors are none while somebody debugs.
    return known.processes != "0" and not (known.pdb and known.processes in ("auto", "logical"))
