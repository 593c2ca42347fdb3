"""The sentences of our ES modules in another language: Django's catalogue for scripts, made once for each language.

The address has a hash of the content, so browsers keep it for ever, and a page that has it needs no more of us. English
is the language that the modules are written in, so English pages have none.

https://docs.djangoproject.com/en/5.2/topics/i18n/translation/#internationalization-in-javascript-code
"""

from functools import cache
from hashlib import sha256

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation
from django.views.decorators.http import require_safe
from django.views.i18n import JavaScriptCatalog

# Where modules have sentences, as `tests.catalogues` sorts them.
_APPS = ["config", "data_agent"]


@require_safe
async def script(request: HttpRequest, language: str, version: str) -> HttpResponse:
    """Return the catalogue of a language; 404 for a version that is not served any more."""
    if language not in dict(settings.LANGUAGES) or version != _version(language):
        raise Http404("This is another version's.")
    response = HttpResponse(_content(language), content_type='text/javascript; charset="utf-8"')
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def address(language: str | None) -> str:
    """Return where a language's catalogue is, "" for the language of the modules."""
    if language is None or language == settings.LANGUAGE_CODE:
        return ""
    return reverse("script-words", args=[language, _version(language)])


@cache
def _version(language: str) -> str:
    return sha256(_content(language)).hexdigest()[:12]


@cache
def _content(language: str) -> bytes:
    with translation.override(language):
        return JavaScriptCatalog(packages=_APPS).get(HttpRequest()).content
