"""Decides whether a text may be run. Nothing else in the project does.

verdict.py      `check`, from a text to a verdict, and `laid_out`, a text for reading
policy.py       the allow-lists
limits.py       the LIMIT, put or lowered on the tree
trees.py        whether two trees are the same
inspection.py   the walk over the tree: what it may hold
from_items.py   what stands in FROM
scopes.py, names.py, naming.py   which columns and relations names mean, where they stand
calls.py        which functions may be called, with what
findings.py     what the walk has found
suggestions.py  what to write instead
"""

from data_agent.guard.verdict import Verdict, check, laid_out

__all__ = ["Verdict", "check", "laid_out"]
