"""The embedded servers are what their clients expect, and let nobody in without a password."""

import asyncio
import io
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis
from confluent_kafka.admin import AdminClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.embedded import model, servers
from config.embedded.console import Console
from config.embedded.errors import EmbeddedError
from config.embedded.serving import Plan
from config.embedded.state import State
from config.embedded.supervisor import Supervisor
from config.embedded.wheels import folder_of
from config.env import BASE_DIR
from tests.config.embedded.test_gguf import WHOLE
from tests.conftest import SERVERS, SETTINGS
from tests.servers import process_environment, still_running

_STARTER = """
import time
from tests.servers import Servers
servers = Servers("postgres", "valkey")
print("up", flush=True)
time.sleep(100)
"""
DATABASE = SETTINGS["DATABASE_URL"]


def test_database_role_owns_its_database_and_is_no_superuser() -> None:
    with psycopg.connect(DATABASE) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication "
            "FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        owner = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert role == (False, True, True, False, False)
    assert owner == ("triptych",)


def test_statements_are_counted_in_every_new_database() -> None:
    with psycopg.connect(DATABASE, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS counted")
        connection.execute("CREATE DATABASE counted")
    try:
        with psycopg.connect(DATABASE.rpartition("/")[0] + "/counted") as connection:
            assert connection.execute("SELECT count(*) > 0 FROM pg_stat_statements").fetchone() == (True,)
    finally:
        with psycopg.connect(DATABASE, autocommit=True) as connection:
            connection.execute("DROP DATABASE counted")


def test_texts_are_utf8_and_sorted_alike_everywhere() -> None:
    with psycopg.connect(DATABASE) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        words = connection.execute("SELECT w FROM unnest(ARRAY['ä', 'a', 'Z', 'z']) AS w ORDER BY w").fetchall()
    assert [word for (word,) in words] == ["Z", "a", "z", "ä"]


@pytest.mark.parametrize("user", ["triptych", "postgres", "triptych_analyst"])
def test_database_wants_the_right_password(user: str) -> None:
    parts = urlsplit(DATABASE)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=parts.hostname, port=parts.port, user=user, password="guess", dbname="postgres")


def test_servers_listen_on_the_loopback_address_only() -> None:
    record = json.loads((SERVERS[0].folder / "data" / "up.json").read_text())
    addresses = {
        connection.laddr.ip
        for process in record["processes"]
        for connection in psutil.Process(process["pid"]).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_no_password_can_be_read_from_a_list_of_processes() -> None:
    record = json.loads((SERVERS[0].folder / "data" / "up.json").read_text())
    secrets = json.loads((SERVERS[0].folder / "data" / "secrets.json").read_text()).values()
    arguments = [" ".join(psutil.Process(process["pid"]).cmdline()) for process in record["processes"]]
    assert len(arguments) == 3
    assert not [line for line in arguments if any(secret in line for secret in secrets)]


def test_broker_answers_a_real_client() -> None:
    client = AdminClient({"bootstrap.servers": SETTINGS["KAFKA_BOOTSTRAP_SERVERS"]})
    assert client.list_topics(timeout=5).brokers


def test_valkey_keeps_values_and_wants_the_password() -> None:
    address = SETTINGS["REDIS_URL"]
    with redis.Redis.from_url(address) as client:
        client.set("tests:key", "value", ex=10)
        assert client.get("tests:key") == b"value"
    parts = urlsplit(address)
    with (
        redis.Redis(host=parts.hostname or "", port=parts.port or 0, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_data_outlives_a_restart(tmp_path: Path) -> None:
    for step in ("CREATE TABLE kept (value int)", "INSERT INTO kept VALUES (7)", "SELECT value FROM kept"):
        settings, process = _start(tmp_path)
        with (
            psycopg.connect(settings["DATABASE_URL"]) as connection,
            redis.Redis.from_url(settings["REDIS_URL"]) as client,
        ):
            answer = connection.execute(step)
            client.incr("starts")
            if answer.description:
                assert answer.fetchone() == (7,)
                assert client.get("starts") == b"3"
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_database_starts_although_its_last_process_id_is_anothers_by_now(tmp_path: Path) -> None:
    _, process = _start(tmp_path)
    process.communicate(timeout=30)
    mark = tmp_path / "postgres" / "data" / "postmaster.pid"
    mark.write_text(f"{os.getpid()}\n{mark.parent}\n0\n5432\n\n127.0.0.1\n")
    _, process = _start(tmp_path)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_servers_end_when_whoever_started_them_is_killed(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _STARTER,
        ],
        cwd=BASE_DIR,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "up\n"
    family = psutil.Process(starter.pid).children(recursive=True)
    assert len(family) >= 3
    starter.kill()
    starter.communicate()
    assert still_running(family, 10) == []


def test_package_that_is_not_installed_is_named_with_the_file_that_has_it() -> None:
    with pytest.raises(EmbeddedError, match=r"'no_such_server' is not installed.*requirements/embedded\.txt"):
        folder_of("no_such_server")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
        ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b-instruct"),
        ("Meta-Llama-3-8B-Instruct.IQ3_XS.gguf", "Meta-Llama-3-8B-Instruct"),
        ("phi-4.gguf", "phi-4"),
        ("tiny-f16.gguf", "tiny"),
    ],
)
def test_model_is_called_by_its_files_name_without_the_quantisation(file: str, name: str) -> None:
    assert model.alias(Path("/models") / file) == name


@pytest.mark.local_model
def test_local_model_answers_under_its_own_name_and_to_no_foreign_page(local_model_url: str) -> None:
    question = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    request = urllib.request.Request(
        f"{local_model_url}/v1/chat/completions",
        data=json.dumps(question).encode(),
        headers={"Content-Type": "application/json", "Origin": "https://other.example.org"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
        allowed = response.headers.get("Access-Control-Allow-Origin", "")
    assert answer["model"] == "SmolLM2-135M-Instruct"
    assert answer["choices"][0]["message"]["content"].strip()
    assert allowed == ""


def test_model_file_that_is_no_model_fails_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"not a model")
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "config.embedded",
            "--data",
            str(tmp_path / "data"),
            "--only",
            "model",
            "--model",
            str(tmp_path / "broken.gguf"),
        ],
        cwd=BASE_DIR,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    assert "model ended" in process.stderr
    assert "broken.gguf" in process.stderr


async def test_model_that_cannot_be_loaded_is_replaced_and_its_name_says_so(tmp_path: Path) -> None:
    # Whole as far as one can see, and of an architecture that does not exist.
    (tmp_path / "mine.gguf").write_bytes(WHOLE)
    small = model.installed_model()
    plan = Plan(tmp_path / "mine.gguf", tmp_path / "mine.gguf", instead=small)
    with State(tmp_path / "data") as state:
        supervisor = Supervisor(Console(io.StringIO()))
        try:
            settings = await servers.start(servers.Choice(("model",), models=plan), state, supervisor)
            answered = await asyncio.to_thread(_model_at, settings["LLM_LOCAL_URL"])
        finally:
            await supervisor.stop()
    assert settings["LLM_LOCAL_NAME"] == answered == "SmolLM2-135M-Instruct"
    assert settings["LLM_LOCAL_REMARK"] == (
        f"{tmp_path / 'mine.gguf'} could not be loaded. The small model is used instead."
    )
    assert not {"LLM_LOCAL_SQL_URL", "LLM_SQL_FIRST_TOKEN_SECONDS"} & settings.keys()


async def test_two_models_have_two_servers(tmp_path: Path) -> None:
    small = model.installed_model()
    (tmp_path / "Other-Q4_0.gguf").symlink_to(small)
    with State(tmp_path / "data") as state:
        supervisor = Supervisor(Console(io.StringIO()))
        choice = servers.Choice(("model",), models=Plan(small, tmp_path / "Other-Q4_0.gguf", instead=small))
        try:
            settings = await servers.start(choice, state, supervisor)
            chat = await asyncio.to_thread(_model_at, settings["LLM_LOCAL_URL"])
            sql = await asyncio.to_thread(_model_at, settings["LLM_LOCAL_SQL_URL"])
        finally:
            await supervisor.stop()
    assert (settings["LLM_LOCAL_NAME"], settings["LLM_LOCAL_SQL_NAME"]) == (chat, sql)
    assert (chat, sql) == ("SmolLM2-135M-Instruct", "Other")
    assert "LLM_LOCAL_REMARK" not in settings
    # A larger model is given more time to read its prompt.
    assert settings["LLM_SQL_FIRST_TOKEN_SECONDS"] == "30"


def _model_at(url: str) -> str:
    with urllib.request.urlopen(f"{url}/v1/models", timeout=30) as response:
        name: str = json.load(response)["data"][0]["id"]
        return name


def _start(folder: Path) -> tuple[dict[str, str], subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "config.embedded", "--data", str(folder), "--only", "postgres", "--only", "valkey"],
        cwd=BASE_DIR,
        env=process_environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return json.loads(process.stdout.readline()), process
