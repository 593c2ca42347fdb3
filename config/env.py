"""What the environment may say, with types, defaults and meanings.

This is the only place that reads environment variables; `config/settings.py` turns the result into Django
settings. Each variable may also stand in a `.env` file, and as `NAME_FILE`, the path of a file that holds the
value (for container secrets). Precedence: environment, `NAME_FILE`, `.env`, default. `ENV_FILE` names another file
than `.env`.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from llm.limits import Limits

BASE_DIR = Path(__file__).resolve().parent.parent

# Days. A visitor's cookie ends after 30, and what a model is reminded of a day after the last question: with a row of
# this age there is nothing left that could still tell its text.
SHORTEST_RETENTION = 32

PROVIDERS = ("local", "openai", "gemini", "ollama", "scripted")

# These commands start servers or need none, so they run before any address is known.
COMMANDS_WITHOUT_SERVERS = frozenset(
    {"up", "fetch_model", "help", "version", "check", "collectstatic"}
    | {"makemessages", "compilemessages", "--help", "--version"}
)


# Bytes of the file of a secret, at most: a wrong path is no reason to read a disk.
_LARGEST_SECRET = 64 * 1024


class ConfigurationError(Exception):
    """A setting is missing or malformed. The message is one line that names it."""


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def _limits(value: object) -> object:
    return Limits.parse(value) if isinstance(value, str) else value


Budget = Annotated[Limits, NoDecode, BeforeValidator(_limits)]


def _retention(days: int) -> int:
    if 0 < days < SHORTEST_RETENTION:
        raise ValueError(f"{days} is too short: at least {SHORTEST_RETENTION} days, or 0 to keep for ever")
    return days


RetentionDays = Annotated[int, Field(ge=0, le=36_500), AfterValidator(_retention)]


class Environment(BaseSettings):
    """Every setting. The field's name in capitals is the variable's name."""

    model_config = SettingsConfigDict(env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True)

    # Web
    secret_key: SecretStr | None = Field(None, description="Signs cookies and links; `manage.py up` makes one.")
    debug: bool = Field(False, description="Django's debug pages. Never on a reachable host.")
    allowed_hosts: CommaSeparated = Field(
        ("localhost", "127.0.0.1", "[::1]"), description="Host names this site answers to, separated by commas."
    )
    trusted_origins: CommaSeparated = Field(
        (), description="Further origins (https://host) that may post forms and open WebSockets."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="Proxies of yours in front of this site, each adding to X-Forwarded-For."
    )
    secure_cookies: bool = Field(False, description="Cookies only over HTTPS. Switch on wherever there is HTTPS.")
    hsts_seconds: int = Field(
        0,
        ge=0,
        description="How long browsers insist on HTTPS; above 0 plain HTTP is redirected. A year: 31536000.",
    )
    hsts_subdomains: bool = Field(False, description="That holds for all subdomains too.")
    hsts_preload: bool = Field(False, description="Browsers may ship with that knowledge. Hard to take back.")
    operator_token: SecretStr | None = Field(
        None, min_length=16, description="Bearer token that opens /metrics and the details of /readyz."
    )
    demo: bool = Field(False, description="Offers the one-click demo sign-in, on loopback addresses only.")
    data_folder: Path | None = Field(None, description="Where `manage.py up` keeps its data; it sets this itself.")

    # Servers. A password goes before the address that it belongs to, which is validated with it.
    database_password: SecretStr | None = Field(None, description="Password for a DATABASE_URL that has none.")
    database_url: str | None = Field(None, description="postgres://user:password@host:port/name")
    analytics_database_password: SecretStr | None = Field(
        None, description="Password for an ANALYTICS_DATABASE_URL that has none."
    )
    analytics_database_url: str | None = Field(
        None, description="The same database as the data agent's read-only role. Without it the agent runs nothing."
    )
    database_pool_size: int = Field(20, ge=2, le=500, description="Connections per process, at most.")
    kafka_bootstrap_servers: str | None = Field(None, description="host:port[,host:port]")
    kafka_partitions: int = Field(6, ge=1, le=1000, description="Partitions of the topics that are created.")
    kafka_replication: int = Field(1, ge=1, le=10, description="Replicas of the topics that are created.")
    kafka_fetch_wait_ms: int = Field(
        500, ge=1, le=10_000, description="How long a fetch may wait; 3 for brokers that do not wake a waiting fetch."
    )
    kafka_session_timeout_ms: int = Field(
        6_000, ge=1_000, le=300_000, description="Silence after which a worker's partitions go to other workers."
    )
    kafka_lease_seconds: float = Field(
        30, ge=1, le=3600, description="Silence after which a worker counts as dead, and its questions as nobody's."
    )
    kafka_unclaimed_seconds: float = Field(
        60, ge=1, le=3600, description="Age at which a question that no worker has taken is sent again."
    )
    redis_url: str | None = Field(None, description="redis://host:port/0 (Redis or Valkey)")

    # Model
    llm_chat: CommaSeparated = Field(("local",), description="Providers for chat, the first that works answers.")
    llm_sql: CommaSeparated = Field(("local",), description="Providers that write SQL for the data agent.")
    llm_summary: CommaSeparated = Field((), description="Providers that sum up old turns; empty: those for chat.")
    llm_categorise: CommaSeparated = Field((), description="Providers that sort questions; empty: those for chat.")
    llm_first_token_seconds: float = Field(10, gt=0, le=600, description="Deadline of the first token.")
    llm_sql_first_token_seconds: float | None = Field(
        None, gt=0, le=600, description="The same for SQL; without it that is the one above."
    )
    llm_answer_seconds: float = Field(120, gt=0, le=3600, description="Deadline of a whole answer.")
    llm_answer_tokens: int = Field(512, ge=1, le=32_000, description="Length of an answer, at most.")
    llm_memory_tokens: int = Field(
        3_000, ge=200, le=1_000_000, description="Size of what a chat's model is sent, at most."
    )
    llm_breaker_failures: int = Field(
        3, ge=1, le=100, description="Failures in a row after which a provider is not asked for a while."
    )
    llm_breaker_seconds: float = Field(60, gt=0, le=3600, description="That while.")
    llm_budget_anonymous: Budget = Field(
        Limits(20, 200, 200_000), description="What each visitor may ask, or: unlimited."
    )
    llm_budget_signed_in: Budget = Field(Limits(30, 600, 1_000_000), description="What each account may ask.")
    llm_budget_staff: Budget = Field(Limits(60, 2_000, 5_000_000), description="What each account of staff may ask.")
    llm_budget_address: Budget = Field(
        Limits(120, 2_000, 2_000_000), description="What all of them may ask together from one network address."
    )
    llm_local_url: str | None = Field(None, description="A llama.cpp server's address; `manage.py up` starts one.")
    llm_local_model: Path | None = Field(None, description="A GGUF file for `manage.py up` instead of its own models.")
    llm_local_sql_url: str | None = Field(
        None, description="The same for the model that writes SQL; without it that is the one above."
    )
    llm_local_name: str = Field("", description="Name of the local model, for the pages; `manage.py up` sets it.")
    llm_local_sql_name: str = Field("", description="Name of the one that writes SQL, where it is another.")
    llm_local_remark: str = Field("", description="Why no better model serves, for the pages; `manage.py up` sets it.")
    llm_openai_api_key: SecretStr | None = Field(None, description="Key for OpenAI or a compatible server.")
    llm_openai_base_url: str = Field("https://api.openai.com/v1", description="Or vLLM, llama.cpp, ...")
    llm_openai_model: str = Field("gpt-4o", description="Model of the `openai` provider.")
    llm_gemini_api_key: SecretStr | None = Field(None, description="Key for the Gemini API.")
    llm_gemini_model: str = Field("gemini-2.0-flash", description="Model of the `gemini` provider.")
    llm_gemini_endpoint: str | None = Field(None, description="Another address that speaks the Gemini API.")
    llm_ollama_url: str = Field("http://127.0.0.1:11434", description="Address of the Ollama server.")
    llm_ollama_model: str = Field("llama3.2", description="Model of the `ollama` provider.")
    llm_scripted_answers: Path | None = Field(
        None, description="JSON file with the answers of the `scripted` provider, which is no model: for tests."
    )

    # Retention: what `manage.py prune` deletes
    retention_chats_days: RetentionDays = Field(
        90, description="Days that `manage.py prune` leaves a question and its answer: 32 or more, 0 for ever."
    )
    retention_calls_days: RetentionDays = Field(
        730, description="The same for the ledger of model calls, which holds no text."
    )
    retention_agent_days: RetentionDays = Field(
        365, description="The same for conversations with the data agent and their results."
    )
    retention_audit_days: RetentionDays = Field(
        0, description="The same for the data agent's audit log: `manage.py prune --audit`. Needs AUDIT_KEYS."
    )
    audit_keys: SecretStr | None = Field(
        None,
        min_length=32,
        description="Signs what stands in place of removed rows. The newest first, older ones after a comma.",
    )

    # Traces
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="An OpenTelemetry collector (OTLP over HTTP, http://host:4318), which gets spans. None: none."
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="What that collector wants in the headers, keys for example: name=value,name=value"
    )

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severity logged.")
    log_format: Literal["console", "json"] = Field("console", description="For people or for machines.")
    log_requests: bool = Field(True, description="A line for each request and WebSocket; `manage.py up` has none.")
    log_message_texts: bool = Field(
        False, description="Questions and answers too, for finding a fault. Whoever reads the logs then reads chats."
    )

    @field_validator("database_url", "analytics_database_url")
    @classmethod
    def _is_postgres(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value:
            return value
        name = f"{str(info.field_name).removesuffix('_url')}_password"
        password: SecretStr | None = info.data.get(name)
        url = _url(value, {"postgres", "postgresql"}, "postgres://user:password@host:5432/name")
        return url if password is None else _with_password(url, password.get_secret_value(), name.upper())

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        return value and _url(value, {"redis", "rediss", "unix"}, "redis://host:6379/0")

    @field_validator(
        *("llm_local_url", "llm_local_sql_url", "llm_openai_base_url", "llm_ollama_url", "llm_gemini_endpoint"),
        "otel_exporter_otlp_endpoint",
    )
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        return value and _url(value, {"http", "https"}, "http://host:port")

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _has_ports(cls, value: str | None) -> str | None:
        for server in (value or "").split(",") if value else ():
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"{server.strip()!r} is not host:port")
        return value

    @field_validator("trusted_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            _url(origin, {"http", "https"}, "https://chat.example.org")
        return value

    @field_validator("llm_chat", "llm_sql", "llm_summary", "llm_categorise")
    @classmethod
    def _are_providers(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        unknown = [name for name in value if name not in PROVIDERS]
        if unknown or (not value and info.field_name in {"llm_chat", "llm_sql"}):
            raise ValueError(f"{', '.join(unknown) or 'nothing'} is no provider; choose from {', '.join(PROVIDERS)}")
        return value

    @field_validator("llm_local_model", "llm_scripted_answers")
    @classmethod
    def _is_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @model_validator(mode="after")
    def _providers_are_complete(self) -> Self:
        named = self._providers_named
        for provider, key in (("gemini", "llm_gemini_api_key"), ("openai", "llm_openai_api_key")):
            if provider in named and getattr(self, key) is None:
                raise ValueError(f"{key.upper()} is not set, and a chain names the provider {provider!r}")
        return self

    @model_validator(mode="after")
    def _audit_can_be_signed(self) -> Self:
        if self.retention_audit_days and self.audit_keys is None:
            raise ValueError("AUDIT_KEYS is not set, and RETENTION_AUDIT_DAYS lets rows of the audit log be removed")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put `NAME_FILE` between the environment and the `.env` file."""
        return init_settings, env_settings, SecretFiles(settings_cls), dotenv_settings

    @property
    def local_model_named(self) -> bool:
        """Whether any chain wants the local model."""
        return "local" in self._providers_named

    @property
    def _providers_named(self) -> set[str]:
        return {*self.llm_chat, *self.llm_sql, *self.llm_summary, *self.llm_categorise}


class SecretFiles(PydanticBaseSettingsSource):
    """Reads `NAME_FILE`: the value is what is in that file, without blanks around it. An empty file says nothing."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the file's content, or None where `NAME_FILE` is not set."""
        path = os.environ.get(f"{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        try:
            with Path(path).open("rb") as file:
                content = file.read(_LARGEST_SECRET + 1)
            if len(content) > _LARGEST_SECRET:
                raise ConfigurationError(
                    f"{field_name.upper()}_FILE: {path} has more than {_LARGEST_SECRET // 1024} KiB"
                )
            return content.decode().strip() or None, field_name, False
        except OSError as error:
            raise ConfigurationError(f"{field_name.upper()}_FILE: cannot read {path} ({error.strerror})") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{field_name.upper()}_FILE: {path} is no text in UTF-8") from None

    def __call__(self) -> dict[str, Any]:
        """Return the settings that have such a file."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


def load(env_file: Path | None = None) -> Environment:
    """Read the environment and a `.env` file: this one, the one that `ENV_FILE` names, or the one beside `manage.py`.

    Raises ConfigurationError with one line for the first setting that is malformed.
    """
    try:
        return Environment(_env_file=env_file or os.environ.get("ENV_FILE", BASE_DIR / ".env"))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"][:1]).upper()
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name}: {message}" if name else message) from None


def servers_required(argv: Iterable[str] = ()) -> bool:
    """Whether the program that is starting needs the addresses of the servers."""
    arguments = list(argv or sys.argv)
    return len(arguments) < 2 or arguments[1] not in COMMANDS_WITHOUT_SERVERS


def require(environment: Environment, *names: str) -> None:
    """Raise ConfigurationError for the first of these settings that has no value."""
    for name in names:
        if getattr(environment, name) is None:
            raise ConfigurationError(
                f"{name.upper()} is not set. Set it (see .env.example) or run `make run`, which starts what is missing."
            )


def _url(value: str, schemes: set[str], example: str) -> str:
    try:
        parts = urlsplit(value)
        # A Unix socket has no host in its place: redis with unix://, PostgreSQL with ?host=/folder.
        somewhere = parts.hostname or parts.scheme == "unix" or "host=/" in parts.query
        valid = parts.scheme in schemes and bool(somewhere) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"this is not an address like {example}")
    return value


def _with_password(url: str, password: str, name: str) -> str:
    """Put a password into an address that names a user."""
    parts = urlsplit(url)
    if not parts.username:
        raise ValueError(f"it names no user for {name}")
    if parts.password is not None:
        raise ValueError(f"it has a password, and {name} is set as well")
    user, _, server = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{server}").geturl()


__all__ = ["BASE_DIR", "PROVIDERS", "ConfigurationError", "Environment", "load", "require"]
