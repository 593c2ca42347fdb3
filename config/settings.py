"""Django settings, made from `config.env` and nothing else."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONE, SELF

from config import env
from config.observability import logs
from config.postgresql.connections import Bounded

ENVIRONMENT = env.load()
if env.servers_required():
    env.require(ENVIRONMENT, "secret_key", "database_url", "kafka_bootstrap_servers", "redis_url")
    if ENVIRONMENT.local_model_named:
        env.require(ENVIRONMENT, "llm_local_url")

BASE_DIR = env.BASE_DIR
SECRET_KEY = ENVIRONMENT.secret_key.get_secret_value() if ENVIRONMENT.secret_key else "for commands that sign nothing"
DEBUG = ENVIRONMENT.debug
DEMO = ENVIRONMENT.demo
OPERATOR_TOKEN = ENVIRONMENT.operator_token.get_secret_value() if ENVIRONMENT.operator_token else ""
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
TRUSTED_ORIGINS = list(ENVIRONMENT.trusted_origins)
CSRF_TRUSTED_ORIGINS = TRUSTED_ORIGINS
TRUSTED_PROXIES = ENVIRONMENT.trusted_proxies

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "servestatic",
    "django.contrib.staticfiles",
    "csp",
    "channels",
    "config",
    "llm",
    "llm.timelines",
    "kafka_chat",
    "ws_chat",
    "data_agent",
]

# Every middleware here is asynchronous: one that is not would hold a thread for each held poll.
MIDDLEWARE = [
    "config.middleware.Isolation",
    "config.middleware.Security",
    "servestatic.middleware.ServeStaticMiddleware",
    "config.middleware.ContentSecurityPolicy",
    "config.middleware.Sessions",
    "config.middleware.Languages",
    "config.middleware.Common",
    "config.middleware.Csrf",
    "config.middleware.Authentication",
    "config.middleware.Messages",
    "config.middleware.FrameOptions",
    "config.middleware.Outages",
    "config.visitors.visitor_middleware",
]
# They look for the names of Django's middleware, of which ours are subclasses. Checks that need those names say nothing
# either; `config.checks` says it in their place.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003"]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.local_models.small_model",
            ],
        },
    },
]


# Seconds for a connection to be made, and until one counts as lost whose other side is gone without a word (of
# `tcp_user_timeout` milliseconds): https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_NOTICES_SILENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


def _database(url: str | None, **options: Any) -> dict[str, Any]:
    """Turn a postgres:// address into Django's form."""
    parts = urlsplit(url or "postgres://unset")
    return {
        "ENGINE": "config.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        # Persistent connections leak under ASGI; the pool does not.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {**_NOTICES_SILENCE, **dict(parse_qsl(parts.query)), **options},
    }


# Of a process' connections: those of `config.database`; the rest is the ORM's.
DATABASE_DIRECT_CONNECTIONS = max(1, ENVIRONMENT.database_pool_size // 4)
DATABASES = {
    "default": _database(
        ENVIRONMENT.database_url,
        pool={
            "min_size": 1,
            "max_size": ENVIRONMENT.database_pool_size - DATABASE_DIRECT_CONNECTIONS,
            "timeout": 10,
            "connection_class": Bounded,
            # Seconds of trying with growing pauses. After that the next request has it tried at once: with more, a
            # pool would still be pausing long after PostgreSQL is back.
            "reconnect_timeout": 5,
        },
    ),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The data agent's own connections are made from this address by `data_agent.execution`, outside Django's ORM.
ANALYTICS_DATABASE_URL = ENVIRONMENT.analytics_database_url

REDIS_URL = ENVIRONMENT.redis_url or "redis://unset"
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}},
}

KAFKA_BOOTSTRAP_SERVERS = ENVIRONMENT.kafka_bootstrap_servers or ""
KAFKA_PARTITIONS = ENVIRONMENT.kafka_partitions
KAFKA_REPLICATION = ENVIRONMENT.kafka_replication
KAFKA_FETCH_WAIT_MS = ENVIRONMENT.kafka_fetch_wait_ms
KAFKA_SESSION_TIMEOUT_MS = ENVIRONMENT.kafka_session_timeout_ms
KAFKA_LEASE_SECONDS = ENVIRONMENT.kafka_lease_seconds
KAFKA_UNCLAIMED_SECONDS = ENVIRONMENT.kafka_unclaimed_seconds

# A chain per purpose names providers in order; `llm.registry` builds them.
LLM_CHAINS = {
    "chat": ENVIRONMENT.llm_chat,
    "sql": ENVIRONMENT.llm_sql,
    "summary": ENVIRONMENT.llm_summary or ENVIRONMENT.llm_chat,
    "categorise": ENVIRONMENT.llm_categorise or ENVIRONMENT.llm_chat,
}
LLM_FIRST_TOKEN_SECONDS = ENVIRONMENT.llm_first_token_seconds
LLM_SQL_FIRST_TOKEN_SECONDS = ENVIRONMENT.llm_sql_first_token_seconds or LLM_FIRST_TOKEN_SECONDS
LLM_ANSWER_SECONDS = ENVIRONMENT.llm_answer_seconds
LLM_ANSWER_TOKENS = ENVIRONMENT.llm_answer_tokens
LLM_MEMORY_TOKENS = ENVIRONMENT.llm_memory_tokens
LLM_BREAKER_FAILURES = ENVIRONMENT.llm_breaker_failures
LLM_BREAKER_SECONDS = ENVIRONMENT.llm_breaker_seconds
LLM_BUDGETS = {
    "anonymous": ENVIRONMENT.llm_budget_anonymous,
    "signed-in": ENVIRONMENT.llm_budget_signed_in,
    "staff": ENVIRONMENT.llm_budget_staff,
}
LLM_BUDGET_ADDRESS = ENVIRONMENT.llm_budget_address

# What `manage.py prune` deletes is older than these; 0 keeps it for ever.
RETENTION_CHATS_DAYS = ENVIRONMENT.retention_chats_days
RETENTION_CALLS_DAYS = ENVIRONMENT.retention_calls_days
RETENTION_AGENT_DAYS = ENVIRONMENT.retention_agent_days
RETENTION_AUDIT_DAYS = ENVIRONMENT.retention_audit_days
AUDIT_KEYS = (
    [key.strip() for key in ENVIRONMENT.audit_keys.get_secret_value().split(",")] if ENVIRONMENT.audit_keys else []
)

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = VISITOR_COOKIE_SECURE = ENVIRONMENT.secure_cookies
LANGUAGE_COOKIE_SECURE = ENVIRONMENT.secure_cookies
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "config.views.csrf_failure"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = ENVIRONMENT.hsts_seconds
SECURE_HSTS_INCLUDE_SUBDOMAINS = ENVIRONMENT.hsts_subdomains
SECURE_HSTS_PRELOAD = ENVIRONMENT.hsts_preload
SECURE_SSL_REDIRECT = ENVIRONMENT.hsts_seconds > 0
# Who watches over this process asks it directly, without HTTPS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
# Where no proxy is ours, this header is a client's own.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
X_FRAME_OPTIONS = "DENY"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "/about/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]

# Bodies are small JSON documents; nothing is uploaded.
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 0

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.storage.HashedStaticFiles"},
}

# English is the language of the source, so it has no catalogue.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "German")]
# Named here, ours go before those of the admin, which has a word or two in common with them.
LOCALE_PATHS = [BASE_DIR / app / "locale" for app in ("config", "llm", "kafka_chat", "ws_chat", "data_agent")]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

# For `config.observability.tracing.start`.
_collector_headers = ENVIRONMENT.otel_exporter_otlp_headers
TRACES_TO = {
    "endpoint": ENVIRONMENT.otel_exporter_otlp_endpoint or "",
    "headers": _collector_headers.get_secret_value() if _collector_headers else "",
}

LOGGING_CONFIG = None
LOG_REQUESTS = ENVIRONMENT.log_requests
LOG_MESSAGE_TEXTS = ENVIRONMENT.log_message_texts
logs.configure(level=ENVIRONMENT.log_level, format=ENVIRONMENT.log_format)
