"""The estimate, held against the tokenizer of the real local model."""

import json
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import tokens
from llm.types import Message

# Texts of many kinds, as people type them and models write them.
SAMPLES: dict[str, str] = json.loads(Path(__file__).with_name("samples.json").read_text(encoding="utf-8"))
# These mean nothing to a tokenizer, and may be estimated too low.
MEANINGLESS = {"random letters", "base64", "rare ideographs"}

# No lone surrogates: nothing that reaches a model has any.
texts = st.text(st.characters(codec="utf-8"), max_size=300)


def _count(url: str, text: str) -> int:
    response = httpx.post(f"{url}/tokenize", json={"content": text, "parse_special": True})
    return len(response.raise_for_status().json()["tokens"])


@pytest.mark.local_model
@pytest.mark.parametrize("name", SAMPLES)
def test_no_text_has_more_tokens_than_estimated(local_model_url, name):
    counted = _count(local_model_url, SAMPLES[name])
    estimated = tokens.estimate(SAMPLES[name])
    assert estimated >= (0.4 * counted if name in MEANINGLESS else counted)
    assert estimated <= 2 * counted + 2 or name in {"box drawing", "punctuation"}


@pytest.mark.local_model
def test_no_conversation_has_more_tokens_than_estimated(local_model_url):
    meaningful = [text for name, text in SAMPLES.items() if text and name not in MEANINGLESS]
    turns = [Message(("user", "assistant")[number % 2], text) for number, text in enumerate(meaningful)]
    messages = [Message("system", "Be brief."), *turns, Message("user", "And now?")]
    response = httpx.post(f"{local_model_url}/apply-template", json={"messages": [asdict(each) for each in messages]})
    counted = _count(local_model_url, response.raise_for_status().json()["prompt"])
    assert len(messages) < counted <= tokens.estimate_prompt(messages)


def test_nothing_costs_nothing_and_a_message_something():
    assert tokens.estimate("") == 0
    assert tokens.estimate_prompt([]) == 0
    assert tokens.estimate_prompt([Message("user", "")]) == tokens.TOKENS_PER_MESSAGE


@given(texts, st.integers(0, 120))
def test_a_shortened_text_has_room_and_keeps_its_beginning_and_its_end(text, room):
    shortened = tokens.shorten(text, room)
    assert tokens.estimate(shortened) <= room
    if tokens.estimate(text) <= room:
        assert shortened == text
    elif shortened:
        beginning, ellipsis, end = shortened.partition(tokens.ELLIPSIS)
        assert ellipsis
        assert text.startswith(beginning)
        assert text.endswith(end)


def test_a_shortened_text_uses_most_of_the_room():
    assert tokens.estimate(tokens.shorten(SAMPLES["English"] * 50, 200)) > 150
