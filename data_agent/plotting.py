"""pygal without its import hook.

The hook looks for maps that are packages of their own, which are not used here. It is of a kind that Python no longer
knows, and every import that comes to it brings a warning.
"""

import sys

import pygal
from pygal.style import Style

__all__ = ["Style", "pygal"]

sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]
