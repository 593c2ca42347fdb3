"""Builds providers and chains from the settings, once for each event loop."""

import asyncio
from typing import TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from django.conf import settings

from config.observability import tracing
from llm import breaker, meter, metrics
from llm.chain import Chain
from llm.ledger import calls
from llm.providers.base import Provider
from llm.providers.gemini import Gemini
from llm.providers.ollama import Ollama
from llm.providers.openai_compatible import OpenAICompatible
from llm.providers.scripted import Scripted
from llm.providers.scripted import load as load_script
from llm.types import Call, Purpose

T = TypeVar("T")

# HTTP clients belong to the loop that made them.
_chains: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Purpose, Chain]] = WeakKeyDictionary()


def chain(purpose: Purpose) -> Chain:
    """Return the chain for a purpose, as the settings name it."""
    made = _chains.setdefault(asyncio.get_running_loop(), {})
    if purpose not in made:
        made[purpose] = Chain(
            [build(name, purpose) for name in settings.LLM_CHAINS[purpose]],
            first_token_seconds=(
                settings.LLM_SQL_FIRST_TOKEN_SECONDS if purpose == "sql" else settings.LLM_FIRST_TOKEN_SECONDS
            ),
            answer_seconds=settings.LLM_ANSWER_SECONDS,
            purpose=purpose,
            breaker=breaker.from_settings(),
            record=_record,
        )
    return made[purpose]


def look_ahead(purpose: Purpose) -> None:
    """Say that there may be a request in a moment, where there is a chain already: see `Chain.look_ahead`."""
    if (made := _chains.get(asyncio.get_running_loop(), {}).get(purpose)) is not None:
        made.look_ahead()


def names() -> list[str]:
    """Return what the providers of all chains are called, in their circuits and in the ledger, each once."""
    return sorted({called(name, purpose) for purpose, chain in settings.LLM_CHAINS.items() for name in chain})


def called(name: str, purpose: str) -> str:
    """Return what a chain's provider is called. SQL may be written by another local model than the one for all else."""
    environment = settings.ENVIRONMENT
    is_another = environment.llm_local_sql_url not in (None, environment.llm_local_url)
    return "local-sql" if name == "local" and purpose == "sql" and is_another else name


def _record(call: Call) -> None:
    meter.note(call)
    metrics.note_call(call)
    calls.record(call)
    if call.trace_id is not None:
        _trace(call, call.trace_id)


def _trace(call: Call, trace_id: UUID) -> None:
    # https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
    about: dict[str, tracing.Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider,
        "gen_ai.response.model": call.model,
        "gen_ai.usage.input_tokens": call.prompt_tokens,
        "gen_ai.usage.output_tokens": call.completion_tokens,
        "triptych.purpose": call.purpose,
        "triptych.fallback": call.fallback,
        "triptych.outcome": call.outcome,
    }
    if call.first_token_seconds is not None:
        about["triptych.first_token_seconds"] = call.first_token_seconds
    failed = call.outcome not in {"stop", "length", "left"}
    tracing.record(
        "model call", trace_id, began=call.started_at, seconds=call.total_seconds, failed=failed, attributes=about
    )


async def aclose() -> None:
    """Close the chains of this event loop."""
    for each in _chains.pop(asyncio.get_running_loop(), {}).values():
        await each.aclose()


def build(name: str, purpose: Purpose = "chat") -> Provider:
    """Return the provider of that name, as the settings describe it for a purpose."""
    environment = settings.ENVIRONMENT
    if name == "local":
        name = called(name, purpose)
        url = _set(environment.llm_local_url if name == "local" else environment.llm_local_sql_url)
        return OpenAICompatible(name=name, model="local", base_url=f"{url}/v1")
    if name == "openai":
        return OpenAICompatible(
            name=name,
            model=environment.llm_openai_model,
            base_url=environment.llm_openai_base_url,
            api_key=_set(environment.llm_openai_api_key).get_secret_value(),
        )
    if name == "gemini":
        return Gemini(
            model=environment.llm_gemini_model,
            api_key=_set(environment.llm_gemini_api_key).get_secret_value(),
            endpoint=environment.llm_gemini_endpoint,
        )
    if name == "ollama":
        return Ollama(model=environment.llm_ollama_model, url=environment.llm_ollama_url)
    if name == "scripted":
        path = environment.llm_scripted_answers
        return Scripted(load_script(path) if path else ())
    raise ValueError(f"there is no provider {name!r}")


def _set(value: T | None) -> T:
    """Return a value that `config.env` has made sure of, because a chain names its provider."""
    assert value is not None
    return value
