"""The catalogues of translations, brought up to date with the source: `make messages`, or `python -m tests.catalogues`.

Babel reads the source and writes what Django reads; what is in templates is made readable by Django's own `templatize`,
so no gettext program is needed. English is the language of the source and has no catalogue: it would say each string
twice, and Django knows its plural. Entries that are new are left empty, for a translator; those that nobody uses any
more go. Both files of a catalogue are in the repository: a fresh clone, or an image, speaks all languages at once.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from config.env import BASE_DIR

LANGUAGES = ("de",)
APPS = ("config", "llm", "kafka_chat", "ws_chat", "data_agent")
_COMMENTS = ("Translators:",)
_KEYWORDS = DEFAULT_KEYWORDS | {
    f"{name}{kind}": DEFAULT_KEYWORDS[name]
    for name in ("gettext", "ngettext", "pgettext", "npgettext")
    for kind in ("_lazy", "_noop")
}
# What makes a sentence in modules that import it; elsewhere it is another function's name.
_SENTENCES = "from config.sentences import "
_KEYWORDS_OF_SENTENCES = {**_KEYWORDS, "say": None}
# Whose templates they are: what is in no folder of an app is everybody's.
_FOLDERS = {f"templates/{folder}{app}": app for app in APPS for folder in ("", "admin/")}
# They say when, by whom and with what a file was written, which would make two people's files differ.
_VOLATILE = re.compile(
    rb'^"(POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Generated-By|Report-Msgid-Bugs-To).*\n', re.M
)
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """The strings of an app: those of Python and templates (`django`), or those of ES modules (`djangojs`)."""

    app: str
    domain: str

    def path(self, language: str) -> Path:
        """Return where its catalogue in a language is, as .po."""
        return BASE_DIR / self.app / "locale" / language / "LC_MESSAGES" / f"{self.domain}.po"

    def files(self) -> list[Path]:
        """Return what its strings are in."""
        if self.domain == "djangojs":
            return [path for path in sorted((BASE_DIR / "static" / "js").glob("*.js")) if _app_of(path) == self.app]
        python = (path for path in (BASE_DIR / self.app).rglob("*.py") if "migrations" not in path.parts)
        templates = (path for path in (BASE_DIR / "templates").rglob("*.html") if _app_of(path) == self.app)
        return sorted([*python, *templates])


SOURCES = [Source(app, domain) for app in APPS for domain in ("django", "djangojs")]


def found(source: Source) -> Catalog:
    """Return all strings of a source, untranslated."""
    catalog = Catalog(fuzzy=False)
    for path in source.files():
        for line, text, comments, context in _strings(path):
            place = [(path.relative_to(BASE_DIR).as_posix(), line)]
            catalog.add(text, locations=place, auto_comments=comments, context=context)
    return catalog


def translated(source: Source, language: str) -> Catalog:
    """Return a catalogue as it is in the repository; an empty one where there is none yet."""
    path = source.path(language)
    content = io.BytesIO(path.read_bytes() if path.exists() else b"")
    return read_po(content, locale=language, ignore_obsolete=True)


def as_po(source: Source, language: str) -> bytes:
    """Return what the .po file should be: every string of the source, with the translations that it has."""
    catalog = translated(source, language)
    catalog.project, catalog.version, catalog.header_comment, catalog.fuzzy = "Triptych", "", "", False
    catalog.update(found(source), no_fuzzy_matching=True)
    content = io.BytesIO()
    write_po(content, catalog, include_lineno=False, ignore_obsolete=True, width=120)
    return _VOLATILE.sub(b"", content.getvalue()).lstrip(b"#\n")


def as_mo(source: Source, language: str) -> bytes:
    """Return what the .mo file should be, made from the .po file."""
    catalog, content = translated(source, language), io.BytesIO()
    catalog.creation_date = catalog.revision_date = _SOME_DAY
    write_mo(content, catalog)
    return content.getvalue()


def said(catalog: Catalog) -> dict[tuple[object, str], object]:
    """Return what a catalogue says: by context and string, what stands for it."""
    return {(message.context, str(message.id)): message.string for message in catalog if message.id}


def placeholders(text: str) -> list[str]:
    """Return what is put into a text, sorted: %(name)s, %s and {name}."""
    return sorted(re.findall(r"%\(\w+\)[a-z]|%[a-z](?![a-z])|\{\w*\}", text.replace("%%", "")))


def faults(message: Message) -> Iterator[str]:
    """Yield what is wrong with an entry of a catalogue."""
    sources, texts = (
        list(each) if isinstance(each, (tuple, list)) else [each] for each in (message.id, message.string)
    )
    if not all(texts):
        yield "is not translated"
    if message.fuzzy:
        yield "is fuzzy"
    # The first form of a plural may say "one" in words.
    for place, text in enumerate(texts):
        wanted = placeholders(sources[min(place, len(sources) - 1)])
        if text and placeholders(text) != wanted:
            yield f"has other placeholders than {wanted}"


def _app_of(path: Path) -> str:
    name = path.relative_to(BASE_DIR).as_posix()
    if path.suffix == ".js":
        return "data_agent" if path.name.startswith("data-agent") else "config"
    return next((app for folder, app in _FOLDERS.items() if name.startswith(f"{folder}/")), "config")


def _strings(path: Path) -> Iterator[tuple[int, str | tuple[str, ...], list[str], str | None]]:
    text = path.read_text()
    method, keywords = "python", _KEYWORDS_OF_SENTENCES if _SENTENCES in text else _KEYWORDS
    if path.suffix == ".js":
        method = "javascript"
    elif path.suffix == ".html":
        # It is no Python, but its tokens are; indentation would have to be right.
        text = "\n".join(line.lstrip() for line in templatize(text, origin=str(path)).split("\n"))
    yield from extract(method, io.BytesIO(text.encode()), keywords=keywords, comment_tags=_COMMENTS)


def main() -> None:
    """Write them, and say what is left to do."""
    for language in LANGUAGES:
        for source in SOURCES:
            path = source.path(language)
            if not len(found(source)):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(as_po(source, language))
            path.with_suffix(".mo").write_bytes(as_mo(source, language))
            for message in translated(source, language):
                for fault in faults(message) if message.id else ():
                    print(f"{path.relative_to(BASE_DIR)}: {message.id!r} {fault}")


if __name__ == "__main__":
    main()
