"""Logs: one line an event, for people on a console or as JSON for machines.

Texts of visitors and answers of models are not logged, only ids, unless LOG_MESSAGE_TEXTS is on: see `texts`.
"""

import logging
import logging.config
from typing import Literal

import structlog
from django.conf import settings


def configure(*, level: str, format: Literal["console", "json"]) -> None:
    """Route both structlog's and the standard library's events through one formatter on standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso" if format == "json" else "%H:%M:%S", utc=format == "json"),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=False,
                pad_event_to=0,
                # The default one prints local variables, and with them keys and what visitors wrote.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
                    "foreign_pre_chain": shared,
                }
            },
            "filters": {"faults": {"()": lambda: _without_traceback_unless_a_fault}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                # These say at INFO what nobody asked for.
                "httpx": {"level": "WARNING"},
                "httpx2": {"level": "WARNING"},
                "daphne": {"level": "WARNING"},
                "django.channels.server": {"level": "WARNING"},
                "django.request": {"filters": ["faults"]},
            },
        }
    )


def _without_traceback_unless_a_fault(record: logging.LogRecord) -> bool:
    """Take the traceback, which Django logs of a 403 too, from what is no fault of ours."""
    if getattr(record, "status_code", 500) < 500:
        record.exc_info = None
    return True


def texts(**said: str) -> dict[str, str]:
    """Return what people and models said, for a line of the log; nothing unless LOG_MESSAGE_TEXTS is on."""
    return said if settings.LOG_MESSAGE_TEXTS else {}
