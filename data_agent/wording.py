"""What the words of a question say about the tables it needs. English; other languages say nothing here."""

import re

from data_agent.samples import Known
from data_agent.schema import PRODUCT_SPECS, USERS

_ASKED = re.compile(
    r"\b(?:which|what|how many|list(?:\s+all)?|show(?:\s+me)?(?:\s+all)?|name(?:\s+all)?|who are the)\s+"
    r"(?:(?:of|the|our|different|distinct|single|\d+)\s+)*(?P<what>products?|customers?|users?|brands?|categor(?:y|ies)|"
    r"countr(?:y|ies)|plans?)\b",
    re.IGNORECASE,
)
_BEGUN = re.compile(
    r"\b(?:which|how many)\s+"
    r"(?P<what>(?:(?!(?:of|with|in|from|for|on|at|by|did|do|does|are|were|was|is|have|has)\b)[\w-]+\s*){1,3})",
    re.IGNORECASE,
)
_TIMES = re.compile(r"\b(?:(?P<number>\d+)\s+(?:times|purchases|orders)|(?P<word>once|twice))\b", re.IGNORECASE)
_TIMES_IN_WORDS = {"once": 1, "twice": 2}
_BUYING = re.compile(
    r"\b(?:b[ou]y|bought|purchase|order|sell|sold|sale|spen[dt]|pa(?:y|id)|revenue|turnover|earn|income|refund|cancel|"
    r"pending|complet|status|quantit|piece|unit|times|popular|demand|money|bring|brought|worth|amount|transact|basket|cart\b|"
    r"deliver|shipped|acquir|own(?:s|ed)?\b|active|favou?rite|discount)",
    re.IGNORECASE,
)
_CUSTOMERS = re.compile(r"\b(?:customer|user|client|people|country|countries|plan|subscri|sign)", re.IGNORECASE)
_ENGLISH = re.compile(r"\b(?:what|which|how|who|show|give|the|of|each|average|and|with)\b", re.IGNORECASE)
_PRODUCTS = re.compile(r"\b(?:product|brand|categor|rating|price|cost|weigh|release)", re.IGNORECASE)


def asked_for(question: str, known: Known) -> str | None:
    """Return what is asked for: "products" in "Which products are new?" and "How many tablets?"; None if not clear."""
    found = _ASKED.search(question)
    if found:
        return found["what"].lower()
    begun = _BEGUN.search(question)
    named = known.mentioned(begun["what"]) if begun else []
    return "products" if any(column.startswith(f"{PRODUCT_SPECS.name}.") for column, _ in named) else None


def speaks_of(said: str, table: str) -> bool:
    """Whether English words speak of customers, or of products, as the table holds them."""
    words = {USERS.name: _CUSTOMERS, PRODUCT_SPECS.name: _PRODUCTS}.get(table)
    return bool(words and _ENGLISH.search(said) and words.search(said))


def times(question: str) -> set[int]:
    """Return how often something was done: 20 in "more than 20 times", 2 in "twice"."""
    found = _TIMES.finditer(question)
    return {int(each["number"] or _TIMES_IN_WORDS[each["word"].lower()]) for each in found}


def speaks_of_purchases(said: str, known: Known) -> bool:
    """Whether purchases may be meant: by a word for them, or because customers and products are both spoken of."""
    if _BUYING.search(said):
        return True
    named = {column.partition(".")[0] for column, _ in known.mentioned(said)}
    products = _PRODUCTS.search(said) or PRODUCT_SPECS.name in named
    return bool(products and (_CUSTOMERS.search(said) or named - {PRODUCT_SPECS.name}))
