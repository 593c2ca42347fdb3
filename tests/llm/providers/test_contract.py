"""What every provider promises, over its real wire protocol.

The scripted provider has no wire; it keeps the same promises in `test_scripted.py`. The OpenAI-compatible one also
meets a real server, in `test_local_model.py`.
"""

import asyncio
import contextlib
import json
import logging
import socket
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from llm import errors
from llm.providers import base
from llm.types import Chunk, Message, Request, Usage
from tests.llm.providers.peers import KEY, PEERS, SILENCE, Peer
from tests.llm.servers.wire import Scene

SECRET_TEXT = "the visitor's own words"
QUESTION = Request((Message("system", "Be brief."), Message("user", SECRET_TEXT)), max_tokens=50, temperature=0.5)
SCHEMA = {
    "type": "object",
    "properties": {"sql": {"type": "string"}, "explanation": {"type": "string"}},
    "required": ["sql", "explanation"],
    "additionalProperties": False,
}
# Closing must reach the server within this many seconds.
PROMPT = 0.1


async def chunks_of(peer: Peer, scene: Scene, request: Request = QUESTION) -> list[Chunk]:
    async with peer.playing(scene) as (provider, _):
        return [chunk async for chunk in provider.stream(request)]


@pytest.fixture
def failure_of(peer, caplog):
    """Play a scene that fails; return the error and the text before it, having looked for leaks."""
    caplog.set_level(logging.DEBUG)

    async def play(scene: Scene, *, requests: int = 1) -> tuple[errors.LLMError, str]:
        text = ""
        async with peer.playing(scene) as (provider, server):
            with pytest.raises(errors.LLMError) as caught:
                async for chunk in provider.stream(QUESTION):
                    text += chunk.text
            assert len(server.exchanges) == requests
            shown = [str(caught.value), repr(caught.value), repr(provider), repr(vars(caught.value)), caplog.text]
            shown += _tracebacks(caught.value)
            shown += [f"{record.__dict__}" for record in caplog.records]
            for each in shown:
                assert KEY not in each
                assert SECRET_TEXT not in each
        assert caught.value.provider == provider.name
        assert str(caught.value).startswith(provider.name)
        return caught.value, text

    return play


def _tracebacks(error: BaseException) -> list[str]:
    """Format an error with everything that led to it, also what `from None` hides."""
    assert error.__cause__ is None
    assert error.__context__ is None
    return traceback.format_exception(error)


def only(*names: str):
    """Restrict a test to the providers whose protocol has such an answer."""
    peers = [peer for peer in PEERS if peer.name in names]
    return pytest.mark.parametrize("peer", peers, ids=names, indirect=True)


class TestAnswers:
    async def test_come_in_order_and_end_with_one_end_mark(self, peer):
        chunks = await chunks_of(peer, Scene(pieces=("One", " two", " three")))
        assert [chunk.text for chunk in chunks[:-1]] == ["One", " two", " three"]
        assert [chunk.finish for chunk in chunks] == [None, None, None, "stop"]
        assert chunks[-1] == Chunk(finish="stop", usage=Usage(7, 3), provider=peer.name, model="a-model")

    async def test_come_piece_by_piece_as_they_are_made(self, peer):
        async with peer.playing(Scene(pieces=("One", " two", " three"), gated=True)) as (provider, server):
            seen = []
            async with asyncio.timeout(5):
                async for chunk in provider.stream(QUESTION):
                    seen.append(chunk.text)
                    # The server makes the next piece only now.
                    server.permits.release()
            assert seen == ["One", " two", " three", ""]

    async def test_that_reached_the_limit_say_so(self, peer):
        assert (await chunks_of(peer, Scene(finish="length")))[-1].finish == "length"

    async def test_survive_any_packet_boundaries(self, peer):
        text = 'Grüße, 世界! 👩‍🚀 "quoted" {braces} [brackets] \\ and\nnew lines'
        chunks = await chunks_of(peer, Scene(pieces=(text, text), bytewise=True))
        assert "".join(chunk.text for chunk in chunks) == text * 2

    async def test_may_be_empty(self, peer):
        assert [chunk.finish for chunk in await chunks_of(peer, Scene(pieces=()))] == ["stop"]

    async def test_can_be_taken_whole(self, peer):
        async with peer.playing(Scene()) as (provider, _):
            completion = await base.complete(provider, QUESTION)
        assert completion.text == "Hello there!"
        assert (completion.finish, completion.usage, completion.provider) == ("stop", Usage(7, 3), peer.name)

    async def test_do_not_mix(self, peer):
        async with peer.playing(Scene(pieces=tuple("abcdefgh"), bytewise=True)) as (provider, _):
            texts = await asyncio.gather(*(base.complete(provider, QUESTION) for _ in range(20)))
        assert {completion.text for completion in texts} == {"abcdefgh"}

    async def test_share_a_connection_one_after_the_other(self, peer):
        async with peer.playing(Scene()) as (provider, server):
            for _ in range(3):
                await base.complete(provider, QUESTION)
                await asyncio.sleep(0.05)
            assert (len(server.exchanges), server.connections) == (3, 1)


class TestRequests:
    async def test_say_everything_that_was_asked(self, peer):
        turns = [("user", "Hi"), ("assistant", "Hello"), ("user", "More, please: 世界")]
        messages = (Message("system", "Be brief."), *(Message(role, text) for role, text in turns))
        async with peer.playing(Scene()) as (provider, server):
            await base.complete(provider, Request(messages, max_tokens=77, temperature=0.25))
        asked = peer.asked(server.exchanges[0])
        assert (asked.key, asked.model, asked.system, asked.turns) == (KEY, "a-model", "Be brief.", turns)
        assert (asked.max_tokens, asked.temperature, asked.schema) == (77, 0.25, None)

    async def test_carry_the_schema_and_the_answer_keeps_it(self, peer):
        answer = json.dumps({"sql": "SELECT 1", "explanation": "one"})
        async with peer.playing(Scene(pieces=(answer[:9], answer[9:]))) as (provider, server):
            completion = await base.complete(
                provider, Request((Message("user", "How many?"),), answer_schema=SCHEMA, temperature=0)
            )
        assert json.loads(completion.text) == {"sql": "SELECT 1", "explanation": "one"}
        schema = peer.asked(server.exchanges[0]).schema
        assert set(schema["properties"]) == {"sql", "explanation"}
        assert schema["required"] == ["sql", "explanation"]

    @only("gemini")
    async def test_put_a_schema_into_the_providers_own_words(self, peer):
        schema = {
            "type": "object",
            "properties": {"amount": {"type": ["number", "null"]}, "unit": {"enum": ["kg", "g"]}},
            "required": ["amount"],
        }
        async with peer.playing(Scene()) as (provider, server):
            await base.complete(provider, Request((Message("user", "How heavy?"),), answer_schema=schema))
        # The client asks for enums as numbers: google.ai.generativelanguage.v1beta.Type.
        assert peer.asked(server.exchanges[0]).schema == {
            "type": 6,
            "properties": {
                "amount": {"type": 2, "nullable": True},
                "unit": {"type": 1, "format": "enum", "enum": ["kg", "g"]},
            },
            "required": ["amount"],
        }

    @only("gemini")
    async def test_ask_for_any_json_where_the_schema_cannot_be_said(self, peer):
        union = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
        async with peer.playing(Scene()) as (provider, server):
            await base.complete(provider, Request((Message("user", "Which?"),), answer_schema=union))
        config = server.exchanges[0].body["generationConfig"]
        assert (config["responseMimeType"], "responseSchema" in config) == ("application/json", False)


class TestClosing:
    @pytest.mark.parametrize(
        "scene",
        [
            Scene(pieces=(), before="stall"),
            Scene(pieces=(), then="stall"),
            Scene(then="stall"),
            Scene(pieces=("word ",) * 5, gated=True),
        ],
        ids=["before the headers", "before the first piece", "in a silence", "between pieces"],
    )
    async def test_by_cancelling_the_task_reaches_the_server(self, peer, scene):
        async with peer.playing(scene) as (provider, server):
            begun = asyncio.Event()

            async def read() -> None:
                async for _ in provider.stream(QUESTION):
                    begun.set()

            task = asyncio.create_task(read())
            async with asyncio.timeout(5):
                while not server.exchanges:
                    await asyncio.sleep(0.005)
                if scene.pieces:
                    await begun.wait()
            task.cancel()
            await self._left_promptly(server)
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

    async def test_the_stream_in_the_middle_reaches_the_server(self, peer):
        async with peer.playing(Scene(pieces=("word ",) * 5, gated=True)) as (provider, server):
            stream = provider.stream(QUESTION)
            assert (await anext(stream)).text == "word "
            closing = asyncio.create_task(stream.aclose())
            await self._left_promptly(server)
            await closing

    async def test_leaves_the_provider_usable(self, peer):
        async with peer.playing(Scene(pieces=("Good",) * 3, gated=True)) as (provider, server):
            for _ in range(3):
                stream = provider.stream(QUESTION)
                await anext(stream)
                await stream.aclose()
            for _ in range(9):
                server.permits.release()
            assert (await base.complete(provider, QUESTION)).text == "GoodGoodGood"

    async def test_one_answer_leaves_the_others_alone(self, peer):
        async with peer.playing(Scene(pieces=tuple("abc"), gated=True)) as (provider, server):
            streams = [provider.stream(QUESTION) for _ in range(4)]
            for stream in streams:
                await anext(stream)
            await streams[0].aclose()
            for _ in range(20):
                server.permits.release()
            for stream in streams[1:]:
                assert "".join([chunk.text async for chunk in stream]) == "bc"

    async def _left_promptly(self, server) -> None:
        started = asyncio.get_running_loop().time()
        await asyncio.wait_for(server.exchanges[-1].left.wait(), 2)
        assert server.exchanges[-1].left_at - started < PROMPT


class TestFailures:
    async def test_connection_refused(self, peer):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            provider = peer.provider(f"http://127.0.0.1:{unused.getsockname()[1]}")
            with pytest.raises(errors.Unreachable, match="Connection refused") as caught:
                await anext(provider.stream(QUESTION))
            await provider.aclose()
        assert caught.value.retryable
        assert KEY not in "".join(_tracebacks(caught.value))

    async def test_hung_up_before_the_answer(self, failure_of):
        error, _ = await failure_of(Scene(before="hang up"))
        assert type(error) is errors.Unreachable

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    async def test_request_not_accepted(self, failure_of, status):
        error, _ = await failure_of(Scene(status=status))
        assert type(error) is errors.Rejected
        assert f"HTTP {status}" in str(error)
        assert not error.retryable

    async def test_too_many_requests(self, failure_of):
        error, _ = await failure_of(Scene(status=429, headers=(("Retry-After", "7"),)))
        assert type(error) is errors.RateLimited
        assert (error.retry_after, error.retryable) == (7, True)

    async def test_too_many_requests_until_a_date(self, failure_of):
        moment = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
        error, _ = await failure_of(Scene(status=429, headers=(("Retry-After", moment),)))
        assert 25 < error.retry_after <= 30

    async def test_too_many_requests_without_a_time(self, failure_of):
        error, _ = await failure_of(Scene(status=429))
        assert type(error) is errors.RateLimited
        assert error.retry_after is None

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_server_error(self, failure_of, status):
        error, _ = await failure_of(Scene(status=status))
        assert type(error) is errors.ProviderFault
        assert error.retryable

    async def test_gateway_timeout(self, failure_of):
        error, _ = await failure_of(Scene(status=504))
        assert type(error) is errors.TimedOut

    async def test_too_much_text_for_the_server(self, failure_of):
        error, _ = await failure_of(Scene(status=413))
        assert type(error) is errors.TooLong

    @pytest.mark.parametrize(
        ("scene", "before"),
        [
            (Scene(before="stall"), ""),
            (Scene(pieces=(), then="stall"), ""),
            (Scene(pieces=("Hello", " you"), then="stall"), "Hello you"),
        ],
        ids=["before the headers", "before the first piece", "in the middle"],
    )
    async def test_silence(self, failure_of, scene, before):
        started = asyncio.get_running_loop().time()
        error, text = await failure_of(scene)
        assert type(error) is errors.TimedOut
        assert text == before
        assert asyncio.get_running_loop().time() - started < SILENCE + 2

    @pytest.mark.parametrize("then", ["truncate", "cut", "garbage", "wrong shape"])
    async def test_broken_stream_after_some_text(self, failure_of, then):
        error, text = await failure_of(Scene(pieces=(SECRET_TEXT,), then=then))
        assert type(error) is errors.BrokenAnswer
        assert text == SECRET_TEXT

    @pytest.mark.parametrize("then", ["truncate", "garbage"])
    async def test_no_stream_at_all(self, failure_of, then):
        error, _ = await failure_of(Scene(pieces=(), then=then))
        assert type(error) is errors.BrokenAnswer

    async def test_error_inside_the_stream(self, peer, failure_of):
        error, text = await failure_of(Scene(then="error"))
        # Gemini's SDK passes over an error in its array, so there it is a stream without an end.
        assert type(error) is (errors.BrokenAnswer if peer.name == "gemini" else errors.ProviderFault)
        assert error.retryable
        assert text == "Hello there!"


class TestRefusals:
    @only("openai", "gemini")
    async def test_of_an_answer_by_the_safety_filter(self, failure_of):
        error, text = await failure_of(Scene(finish="withheld"))
        assert type(error) is errors.Refused
        assert not error.retryable
        assert text == "Hello there!"

    @only("openai")
    async def test_of_a_question_by_the_safety_filter_as_a_status(self, failure_of):
        error, _ = await failure_of(Scene(status=400, reason="withheld"))
        assert type(error) is errors.Refused

    @only("gemini")
    async def test_of_a_question_by_the_safety_filter_as_an_answer(self, failure_of):
        error, _ = await failure_of(Scene(pieces=(), reason="withheld"))
        assert type(error) is errors.Refused

    @only("openai", "gemini")
    async def test_of_a_conversation_that_is_too_long(self, failure_of):
        error, _ = await failure_of(Scene(status=400, reason="too long"))
        assert type(error) is errors.TooLong
        assert not error.retryable

    @only("openai")
    async def test_for_an_empty_account_does_not_ask_to_wait(self, failure_of):
        error, _ = await failure_of(Scene(status=429, reason="quota"))
        assert type(error) is errors.Rejected

    @only("gemini")
    async def test_for_too_many_requests_with_the_wait_in_the_body(self, failure_of):
        error, _ = await failure_of(Scene(status=429, reason="retry info"))
        assert type(error) is errors.RateLimited
        assert error.retry_after == 7
