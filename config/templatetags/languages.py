"""What a page's frame needs of its language."""

from django import template
from django.utils.translation import get_language

from config import script_words

register = template.Library()


@register.simple_tag
def script_words_address() -> str:
    """Return where the sentences of scripts are in the page's language, "" where scripts have them already."""
    return script_words.address(get_language())
