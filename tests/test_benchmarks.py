"""The benchmarks can be started. Their figures are no test's business."""

import subprocess
import sys

import pytest
from django.test import AsyncClient, override_settings

from config.env import BASE_DIR

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("benchmark", ["kafka", "ws"])
def test_a_benchmark_says_what_it_can_measure(benchmark: str) -> None:
    """Its modules are imported in a process of its own: it starts servers itself, before Django is set up."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", "--help"]
    shown = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, timeout=60, check=True)
    assert "--quick" in shown.stdout


@override_settings(ROOT_URLCONF="benchmarks.article")
async def test_the_peer_is_beside_ours(async_client: AsyncClient) -> None:
    nobodys = "/article/check-answer/?message_id=0190f000-0000-7000-8000-000000000000"
    assert (await async_client.get("/healthz")).status_code == 200
    assert (await async_client.get(nobodys)).status_code == 404
