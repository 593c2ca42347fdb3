"""Our settings, with the peer's two addresses beside ours."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.article"
