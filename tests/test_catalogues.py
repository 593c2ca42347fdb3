"""The catalogues of translations are complete, agree with the source, and are compiled."""

from io import BytesIO

import pytest
from babel.messages.mofile import read_mo

from config.env import BASE_DIR
from tests import catalogues
from tests.catalogues import LANGUAGES, SOURCES, Source

ALL = [
    pytest.param(source, language, id=f"{source.app}-{source.domain}-{language}")
    for source in SOURCES
    for language in LANGUAGES
    if len(catalogues.found(source))
]
REMEDY = "Run `make messages`, and translate what it names."


@pytest.mark.parametrize(("source", "language"), ALL)
def test_each_string_of_the_source_is_in_the_catalogue_and_no_other(source: Source, language: str) -> None:
    path = source.path(language)

    assert path.exists(), REMEDY
    assert path.read_bytes() == catalogues.as_po(source, language), REMEDY


@pytest.mark.parametrize(("source", "language"), ALL)
def test_each_entry_is_translated_with_the_placeholders_of_its_source(source: Source, language: str) -> None:
    entries = [message for message in catalogues.translated(source, language) if message.id]

    assert [(entry.id, fault) for entry in entries for fault in catalogues.faults(entry)] == []


@pytest.mark.parametrize(("source", "language"), ALL)
def test_what_django_reads_is_what_the_catalogue_says(source: Source, language: str) -> None:
    there, wanted = source.path(language).with_suffix(".mo").read_bytes(), catalogues.as_mo(source, language)

    assert catalogues.said(read_mo(BytesIO(there))) == catalogues.said(read_mo(BytesIO(wanted))), REMEDY


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_a_string_of_several_apps_means_the_same_in_each(language: str, domain: str) -> None:
    # Django reads all catalogues into one.
    all_of_them: dict[tuple[object, str], object] = {}
    for source in SOURCES:
        if source.domain == domain:
            for key, text in catalogues.said(catalogues.translated(source, language)).items():
                assert all_of_them.setdefault(key, text) == text, key


def test_no_catalogue_is_left_behind() -> None:
    known = {source.path(language) for source in SOURCES for language in LANGUAGES if len(catalogues.found(source))}

    assert {path for app in catalogues.APPS for path in (BASE_DIR / app).rglob("*.po")} == known


@pytest.mark.parametrize(
    ("source", "text", "is_right"),
    [
        ("%(count)s questions", "%(count)s Fragen", True),
        ("%(count)s questions", "%(number)s Fragen", False),
        ("Choose {name}", "Wählen Sie", False),
        ("100 %% of %s", "100 %% von %s", True),
    ],
)
def test_placeholders_are_compared(source: str, text: str, is_right: bool) -> None:
    assert (catalogues.placeholders(source) == catalogues.placeholders(text)) is is_right
