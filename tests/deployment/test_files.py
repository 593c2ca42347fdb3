"""What is deployed fits together: containers, nginx, settings and secrets."""

import re
from typing import Any

import pytest
import yaml
from django.conf import settings

from config.env import BASE_DIR, Environment
from kafka_chat.forms import MAX_WAIT
from kafka_chat.streaming import HEARTBEAT
from kafka_chat.worker import DRAIN_SECONDS
from tests.deployment.nginx import CONFIGURATION

COMPOSE: dict[str, Any] = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
NGINX = (CONFIGURATION / "nginx.conf").read_text()


def _seconds(directive: str) -> float:
    """Return a time of nginx' configuration; it is the same everywhere."""
    (value,) = set(re.findall(rf"^\s*{directive} (\d+)s;$", NGINX, re.M))
    return float(value)


def _grace(service: str) -> float:
    return float(SERVICES[service]["stop_grace_period"].removesuffix("s"))


@pytest.mark.parametrize("service", ["web", "worker", "prepare"])
def test_processes_of_ours_are_told_of_settings_that_exist(service: str) -> None:
    told = {name.removesuffix("_FILE").lower() for name in SERVICES[service]["environment"]}
    assert told <= Environment.model_fields.keys()


def test_every_secret_comes_from_a_file_that_make_secrets_makes() -> None:
    makefile = (BASE_DIR / "Makefile").read_text()
    made = set(" ".join(re.findall(r"^\tfor name in ([a-z_ ]+);", makefile, re.M)).split())
    assert {f"deploy/secrets/{name}" for name in made} == {secret["file"] for secret in COMPOSE["secrets"].values()}
    for service in SERVICES.values():
        given = {f"/run/secrets/{name}" for name in service.get("secrets", ())}
        wanted = {value for name, value in service.get("environment", {}).items() if name.endswith("_FILE")}
        assert wanted == given
        secret = re.compile(r"(SECRET|PASSWORD|KEY)$")
        assert not [name for name in service.get("environment", {}) if secret.search(name)]


def test_servers_are_out_of_reach_and_only_nginx_has_a_port() -> None:
    assert COMPOSE["networks"]["back"] == {"internal": True}
    for name in ("postgres", "kafka", "valkey"):
        assert SERVICES[name]["networks"] == ["back"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert SERVICES["nginx"]["networks"] == ["front"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "memory" in service["deploy"]["resources"]["limits"]
    # The entry points of these write beside their state.
    assert service.get("read_only", False) is (name not in {"kafka", "ollama"})


def test_state_is_on_volumes_and_survives_a_container() -> None:
    mounted = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if not volume.startswith(".")
    }
    assert mounted == COMPOSE["volumes"].keys() == {"postgres", "kafka", "valkey", "ollama"}


def test_nobody_is_killed_while_it_ends_in_peace() -> None:
    assert _grace("worker") > DRAIN_SECONDS
    assert _grace("nginx") > _seconds("worker_shutdown_timeout")
    assert _grace("web") >= MAX_WAIT


def test_a_worker_is_looked_at_where_it_gives_its_sign_of_life() -> None:
    worker = SERVICES["worker"]
    sign = worker["command"][worker["command"].index("--heartbeat") + 1]
    assert worker["healthcheck"]["test"] == ["CMD", "python", "-m", "kafka_chat.heartbeat", sign]
    # The only place that it can write to.
    assert worker["tmpfs"] == ["/tmp"]
    assert sign.startswith("/tmp/")


def test_the_connections_of_all_processes_fit_into_postgresql() -> None:
    (most,) = re.findall(r"max_connections=(\d+)", " ".join(SERVICES["postgres"]["command"]))
    assert int(most) > (3 + 4 + 1) * Environment.model_fields["database_pool_size"].default


def test_nginx_waits_longer_than_what_is_held_and_takes_what_the_application_takes() -> None:
    assert _seconds("proxy_read_timeout") > max(MAX_WAIT, HEARTBEAT)
    assert f"client_max_body_size {settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024}k;" in NGINX


def test_the_image_has_every_package_of_ours_and_no_root() -> None:
    dockerfile = (BASE_DIR / "Dockerfile").read_text()
    allowed = set(re.findall(r"^!(\S+)$", (BASE_DIR / ".dockerignore").read_text(), re.M))
    copied = set(" ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.M)).split())
    assert copied == allowed
    packages = {path.parent.name for path in BASE_DIR.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= copied
    assert dockerfile.count("\nUSER ") == 1
    assert "HEALTHCHECK" in dockerfile
