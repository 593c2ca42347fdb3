"""Guesses without a model."""

import pytest

from kafka_chat.categories import ISO_639_1, MEANINGS, Category, category_of, language_of


@pytest.mark.parametrize(
    ("text", "category", "language"),
    [
        ("Hello!", "greeting", "en"),
        ("How are you?", "greeting", "en"),
        ("Write a Python function that reverses a list", "coding", "en"),
        ("I have a TypeError in my code", "coding", "en"),
        ("What is Kafka?", "project", "en"),
        ("Which customers bought most?", "data", "en"),
        ("What is 12 * 7?", "maths", "en"),
        ("Translate this poem into German, please", "translation", "en"),
        ("Why is the sky blue?", "knowledge", "en"),
        ("Wie hoch ist der Eiffelturm?", "knowledge", "de"),
        ("Schreib mir ein Gedicht über den Herbst", "writing", "de"),
        ("Quelle est la capitale de la France ?", "knowledge", "fr"),
        ("¿Cuántos clientes hay en la base de datos?", "data", "es"),
        ("Come si chiama il fiume di Roma?", "knowledge", "it"),
        ("Onde fica Lisboa e o que é um fado?", "knowledge", "pt"),
        ("Hoe laat is het?", "knowledge", "nl"),
        ("Vad är klockan?", "other", "sv"),
        ("你好", "greeting", "zh"),
        ("こんにちは、元気ですか", "greeting", "ja"),
        ("Где находится Москва?", "other", "ru"),
        ("Де знаходиться Київ?", "other", "uk"),
        ("ok", "other", ""),
        ("?!", "other", ""),
        ("", "other", ""),
    ],
)
def test_key_words_and_stop_words_tell_what_a_question_is_about(text: str, category: str, language: str) -> None:
    assert (category_of(text).value, language_of(text)) == (category, language)


def test_a_word_counts_only_as_a_word() -> None:
    # "sql" in no word, "hi" in this, "code" in codex.
    assert category_of("codex and this chivalry") == Category.OTHER


def test_every_guess_is_a_code_of_iso_639_1() -> None:
    assert len(ISO_639_1) == 183
    assert {"en", "de", "zh", "uk"} <= ISO_639_1


def test_the_model_is_told_what_each_category_means() -> None:
    assert set(MEANINGS) == set(Category)
