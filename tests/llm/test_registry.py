"""Providers and chains as the settings name them."""

import asyncio
import gc
import weakref

import pytest

from config.env import Environment
from llm import errors, registry
from llm.providers import base
from llm.providers.gemini import Gemini
from llm.providers.ollama import Ollama
from llm.providers.openai_compatible import OpenAICompatible
from llm.providers.scripted import Scripted
from llm.types import Message, Request
from tests.llm.providers.peers import GeminiPeer, OllamaPeer, OpenAIPeer
from tests.llm.servers.wire import Scene

QUESTION = Request((Message("user", "Hello?"),))


@pytest.fixture
def environment(settings):
    def use(**values) -> None:
        settings.ENVIRONMENT = Environment(_env_file=None, **values)
        settings.LLM_CHAINS = {"chat": settings.ENVIRONMENT.llm_chat, "sql": settings.ENVIRONMENT.llm_sql}

    return use


@pytest.fixture(autouse=True)
async def fresh():
    await registry.aclose()
    yield
    await registry.aclose()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("local", OpenAICompatible),
        ("openai", OpenAICompatible),
        ("gemini", Gemini),
        ("ollama", Ollama),
        ("scripted", Scripted),
    ],
)
async def test_each_provider_that_the_settings_may_name_is_built(environment, name, kind):
    environment(llm_openai_api_key="k", llm_gemini_api_key="k", llm_local_url="http://127.0.0.1:1")
    provider = registry.build(name)
    assert type(provider) is kind
    assert provider.name == name
    await provider.aclose()


async def test_an_unknown_provider_is_refused():
    with pytest.raises(ValueError, match="'nobody'"):
        registry.build("nobody")


async def test_providers_use_the_addresses_models_and_keys_of_the_settings(environment):
    async with (
        OpenAIPeer().server(Scene()).listening() as openai,
        OpenAIPeer().server(Scene()).listening() as local,
        OllamaPeer().server(Scene()).listening() as ollama,
        GeminiPeer().server(Scene()).listening() as gemini,
    ):
        environment(
            llm_openai_api_key="key-1",
            llm_openai_base_url=f"{openai.url}/v1",
            llm_openai_model="gpt-x",
            llm_local_url=local.url,
            llm_ollama_url=ollama.url,
            llm_ollama_model="llama-x",
            llm_gemini_api_key="key-2",
            llm_gemini_endpoint=gemini.url,
            llm_gemini_model="gemini-x",
        )
        for name in ("openai", "local", "ollama", "gemini"):
            provider = registry.build(name)
            await base.complete(provider, QUESTION)
            await provider.aclose()
    assert (openai.exchanges[0].headers["authorization"], openai.exchanges[0].body["model"]) == (
        "Bearer key-1",
        "gpt-x",
    )
    assert local.exchanges[0].path == "/v1/chat/completions"
    assert ollama.exchanges[0].body["model"] == "llama-x"
    assert gemini.exchanges[0].headers["x-goog-api-key"] == "key-2"
    assert gemini.exchanges[0].path.startswith("/v1beta/models/gemini-x:")


async def test_sql_may_have_a_local_model_of_its_own_whose_failures_are_its_own(environment):
    async with (
        OpenAIPeer().server(Scene()).listening() as chat,
        OpenAIPeer().server(Scene()).listening() as sql,
    ):
        environment(llm_local_url=chat.url, llm_local_sql_url=sql.url)
        for purpose, name, asked in (("chat", "local", chat), ("sql", "local-sql", sql)):
            provider = registry.build("local", purpose)
            await base.complete(provider, QUESTION)
            await provider.aclose()
            assert (provider.name, len(asked.exchanges)) == (name, 1)
    for url in (None, "http://127.0.0.1:1"):
        environment(llm_local_url="http://127.0.0.1:1", llm_local_sql_url=url)
        provider = registry.build("local", "sql")
        assert provider.name == "local"
        await provider.aclose()


async def test_chains_are_what_the_settings_name_in_that_order(environment):
    environment(llm_chat="ollama,scripted", llm_sql="scripted")
    assert [provider.name for provider in registry.chain("chat").providers] == ["ollama", "scripted"]
    assert [provider.name for provider in registry.chain("sql").providers] == ["scripted"]


async def test_a_chain_is_made_once_for_an_event_loop(environment):
    environment(llm_chat="scripted", llm_sql="scripted")
    assert registry.chain("chat") is registry.chain("chat")
    assert registry.chain("chat") is not registry.chain("sql")


def test_each_event_loop_has_chains_of_its_own_that_go_with_it(environment):
    environment(llm_chat="scripted", llm_sql="scripted")

    async def made():
        return registry.chain("chat"), weakref.ref(asyncio.get_running_loop())

    (first, first_loop), (second, second_loop) = asyncio.run(made()), asyncio.run(made())
    assert first is not second
    gc.collect()
    assert first_loop() is None
    assert second_loop() is None


async def test_closed_chains_are_made_anew(environment):
    environment(llm_chat="scripted", llm_sql="scripted")
    before = registry.chain("chat")
    await registry.aclose()
    assert registry.chain("chat") is not before


async def test_a_chain_answers_with_the_deadlines_of_the_settings(environment, settings, tmp_path):
    script = tmp_path / "script.json"
    script.write_text('[{"answer": "late", "first_ms": 60000}]')
    environment(llm_chat="scripted", llm_sql="scripted", llm_scripted_answers=script)
    settings.LLM_FIRST_TOKEN_SECONDS = 0.1
    async with asyncio.timeout(2):
        with pytest.raises(errors.NoProviderAnswered):
            await registry.chain("chat").complete(QUESTION)


async def test_sql_has_a_deadline_of_its_own(environment, settings, tmp_path):
    script = tmp_path / "script.json"
    script.write_text('[{"answer": "late", "first_ms": 300}]')
    environment(llm_chat="scripted", llm_sql="scripted", llm_scripted_answers=script)
    settings.LLM_FIRST_TOKEN_SECONDS, settings.LLM_SQL_FIRST_TOKEN_SECONDS = 0.1, 60
    assert (await registry.chain("sql").complete(QUESTION)).text == "late"
    with pytest.raises(errors.NoProviderAnswered):
        await registry.chain("chat").complete(QUESTION)
