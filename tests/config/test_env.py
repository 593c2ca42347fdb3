"""Settings come from the environment, and a bad one is named in one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from config import env
from config.env import BASE_DIR, ConfigurationError, Environment
from tests.servers import process_environment


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from an empty environment."""
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://root@127.0.0.1/triptych"),
        ("DATABASE_URL", "postgres://127.0.0.1:99999/triptych"),
        ("ANALYTICS_DATABASE_URL", "127.0.0.1:5432"),
        ("REDIS_URL", "http://127.0.0.1:6379"),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1"),
        ("KAFKA_BOOTSTRAP_SERVERS", "one:9092,two:port"),
        ("KAFKA_PARTITIONS", "many"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DEBUG", "perhaps"),
        ("TRUSTED_ORIGINS", "https://chat.example.org,chat.example.org"),
        ("LLM_CHAT", "local,oracle"),
        ("LLM_LOCAL_URL", "127.0.0.1:8080"),
        ("LLM_LOCAL_MODEL", "/no/such/file.gguf"),
        ("LLM_ANSWER_SECONDS", "-1"),
        ("RETENTION_CHATS_DAYS", "31"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_malformed_setting_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        env.load()
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_chain_with_a_provider_that_needs_a_key_names_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_CHAT", "gemini,local")
    with pytest.raises(ConfigurationError, match="LLM_GEMINI_API_KEY"):
        env.load()


def test_missing_setting_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL is not set"):
        env.require(env.load(), "database_url")


def test_the_program_ends_with_one_line_that_names_the_setting() -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "migrate"],
        cwd=BASE_DIR,
        env=process_environment({"DATABASE_URL": "nonsense"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert re.fullmatch(r"Cannot start: DATABASE_URL: .+\n", result.stderr)


def test_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  from the file\r\n\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "key"))
    key = env.load().secret_key
    assert key is not None
    assert key.get_secret_value() == "from the file"


@pytest.mark.parametrize(("name", "content"), [("nothing", None), ("binary", b"\xff\xfe"), ("long", b"x" * 65_537)])
def test_file_of_a_secret_that_is_of_no_use_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / name))
    with pytest.raises(ConfigurationError, match=rf"^SECRET_KEY_FILE: .*{name}") as error:
        env.load()
    assert len(str(error.value)) < 1000


def test_empty_file_of_a_secret_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    monkeypatch.setenv("LLM_OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    assert env.load().llm_openai_api_key is None


@pytest.mark.parametrize("which", ["DATABASE", "ANALYTICS_DATABASE"])
def test_password_of_a_database_may_stand_in_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, which: str
) -> None:
    (tmp_path / "password").write_text("p@ss/w:rd\n")
    monkeypatch.setenv(f"{which}_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv(f"{which}_URL", "postgres://a%40b@db:5432/name?sslmode=require")
    url = getattr(env.load(), f"{which}_URL".lower())
    assert url == "postgres://a%40b:p%40ss%2Fw%3Ard@db:5432/name?sslmode=require"


@pytest.mark.parametrize(
    ("url", "reason"), [("postgres://user:other@db/name", "has a password"), ("postgres://db/name", "no user")]
)
def test_password_that_fits_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, url: str, reason: str) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hidden")
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ConfigurationError, match=rf"^DATABASE_URL: it .*{reason}") as error:
        env.load()
    assert "hidden" not in str(error.value)


def test_environment_goes_before_secret_file_before_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("LLM_OPENAI_MODEL=third\n")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "env"))
    assert env.load().llm_openai_model == "third"
    (tmp_path / "model").write_text("second")
    monkeypatch.setenv("LLM_OPENAI_MODEL_FILE", str(tmp_path / "model"))
    assert env.load().llm_openai_model == "second"
    monkeypatch.setenv("LLM_OPENAI_MODEL", "first")
    assert env.load().llm_openai_model == "first"


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "one.example.org, two.example.org,")
    assert env.load().allowed_hosts == ("one.example.org", "two.example.org")


def test_env_example_has_every_setting_with_its_meaning_and_default() -> None:
    text = (BASE_DIR / ".env.example").read_text()
    documented = {name: (meaning, value) for meaning, name, value in re.findall(r"^# (.+)\n#(\w+)=(.*)$", text, re.M)}
    assert documented == {
        name.upper(): (field.description, _written(field.default)) for name, field in Environment.model_fields.items()
    }


def _written(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(default)
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def test_rows_of_the_audit_log_are_removed_only_where_a_checkpoint_can_be_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETENTION_AUDIT_DAYS", "400")
    with pytest.raises(ConfigurationError, match="AUDIT_KEYS is not set"):
        env.load()
    monkeypatch.setenv("AUDIT_KEYS", "a key of the tests, long enough for all")
    assert env.load().retention_audit_days == 400
