"""What questions are about and in which language they are, guessed without a model.

Stop words and key words are enough where no model can be asked: a table of the common words of ten languages, told
apart by their script where that says it. No library: those that know a hundred languages bring models of megabytes and
are made for whole paragraphs, and a wrong guess costs nothing here but a figure in a statistic.
"""

import re
from collections.abc import Iterable

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy


class Category(TextChoices):
    """What a question is about. The order decides where key words of two fit equally well."""

    CODING = "coding", gettext_lazy("Coding")
    DATA = "data", gettext_lazy("Data and SQL")
    PROJECT = "project", gettext_lazy("This site")
    TRANSLATION = "translation", gettext_lazy("Translation")
    WRITING = "writing", gettext_lazy("Writing")
    MATHS = "maths", gettext_lazy("Mathematics")
    GREETING = "greeting", gettext_lazy("Greetings and small talk")
    KNOWLEDGE = "knowledge", gettext_lazy("General knowledge")
    OTHER = "other", gettext_lazy("Other")


# What the model is told about each.
MEANINGS = {
    Category.CODING: "programming, software, errors in code",
    Category.DATA: "databases, SQL, tables, statistics, figures of a business",
    Category.PROJECT: "this site itself: its chats, Kafka, WebSocket, data agent, limits",
    Category.TRANSLATION: "translating, or the meaning of words of another language",
    Category.WRITING: "writing, changing or shortening a text",
    Category.MATHS: "calculating and proving",
    Category.GREETING: "greetings, thanks and small talk",
    Category.KNOWLEDGE: "facts of the world: history, nature, technology, people, advice",
    Category.OTHER: "nothing of these, or nothing that makes sense",
}

_KEY_WORDS = {
    Category.CODING: r"python|javascript|typescript|java|rust|golang|django|react|html|css|regex|json|api|code|coding|"
    r"program\w*|compil\w+|debug\w*|exception|traceback|function|variable|class|loop|git|docker|algorithm\w*|bug|"
    r"script|programmier\w+|fehlermeldung|fonction|función|programmation|programación",
    Category.DATA: r"sql|database|postgres\w*|query|queries|select|join|table|rows?|columns?|csv|dataset|statistics|"
    r"average|median|revenue|sales|customers?|purchases?|chart|datenbank|tabelle|umsatz|kunden|données|datos|ventas",
    Category.PROJECT: r"kafka|websocket\w*|triptych|chatbots?|this (?:site|page|project|app|chat|demo)|data agent|"
    r"outbox|who are you|what are you|what can you do|wer bist du|was kannst du|qui es-tu|quién eres",
    Category.TRANSLATION: r"translat\w+|übersetz\w*|traduire|traduis\w*|traducir|traduce|traduzir|tradurre|vertaal\w*|"
    r"in (?:english|german|french|spanish|italian|portuguese|chinese|japanese)|auf (?:deutsch|englisch)|en français|"
    r"en español|in italiano",
    Category.WRITING: r"write|rewrite|rephrase|summari[sz]e|shorten|proofread|essay|poem|story|letter|e-?mail|"
    r"haiku|slogan|headline|schreib\w*|gedicht|brief|écri\w*|poème|escrib\w+|poema|carta",
    Category.MATHS: r"calculate|compute|solve|equation\w*|integral|derivative|square root|prime|prove|theorem|"
    r"percent|plus|minus|times|divided|berechne\w*|gleichung\w*|wurzel|calcule\w*|équation|ecuación|"
    r"\d+\s*[-+*/\u00d7\u00f7^]\s*\d+",
    Category.GREETING: r"hi|hello|hey|good (?:morning|evening|afternoon|night)|thanks|thank you|bye|goodbye|"
    r"how are you|hallo|guten (?:tag|morgen|abend)|danke|tschüss|bonjour|salut|merci|au revoir|hola|gracias|"
    r"buenos días|adiós|ciao|grazie|olá|obrigad[oa]|hoi|bedankt|cześć|dzięki|hej|tack|merhaba|привет|спасибо|"
    r"你好|谢谢|こんにちは|ありがとう|안녕하세요|مرحبا",
    Category.KNOWLEDGE: r"who|what|when|where|why|which|how|explain|tell me|wer|was|wann|wo|warum|wie|welche\w*|"
    r"erklär\w*|qui|quoi|quand|où|pourquoi|comment|quel\w*|quién|qué|cuándo|dónde|por qué|cómo|cuál|chi|che|"
    r"quando|dove|perché|come|quem|onde|wat|waarom|hoe",
}
_PATTERNS = {
    # Scripts without spaces have no word ends.
    category: re.compile(rf"(?<![a-zà-ž])(?:{words})(?![a-zà-ž])", re.IGNORECASE)
    for category, words in _KEY_WORDS.items()
}
# Almost every question has a question word: it decides where nothing else does.
_WEAK = (Category.GREETING, Category.KNOWLEDGE)

# ISO 639-1.
_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka "
    "kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
ISO_639_1 = frozenset(_CODES.split())

# The first that has a character in the text is it: Japanese has Chinese characters too, and Persian Arabic ones.
_SCRIPTS = (
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\u1100-\u11ff\uac00-\ud7af]"),
    ("zh", r"[\u3400-\u9fff]"),
    ("uk", r"[іїєґІЇЄҐ]"),
    ("ru", r"[\u0400-\u04ff]"),
    ("el", r"[\u0370-\u03ff]"),
    ("he", r"[\u0590-\u05ff]"),
    ("fa", r"[پچژگ]"),
    ("ar", r"[\u0600-\u06ff]"),
    ("hi", r"[\u0900-\u097f]"),
    ("bn", r"[\u0980-\u09ff]"),
    ("ta", r"[\u0b80-\u0bff]"),
    ("th", r"[\u0e00-\u0e7f]"),
)
_STOP_WORDS = {
    "en": "the a an is are was were do does did what which who when where why how can could would should i you he she "
    "it we they my your of to in on for with and or not this that there have has me please write tell explain hello",
    "de": "der die das den dem ein eine einen ist sind war was wer wie wo wann warum welche kann können soll ich du er "
    "sie es wir ihr mein dein und oder nicht von zu im in am auf für mit bitte mir habe hat gibt über hallo danke",
    "fr": "le la les un une des est sont était que quoi qui quand où pourquoi comment quel quelle je tu il elle nous "
    "vous ils mon ton et ou ne pas de du à au en dans pour avec ce cette ça peux peut moi est-ce bonjour merci",
    "es": "el la los las un una es son era qué que quién cuándo dónde por cómo cuál puedo puede yo tú él ella nosotros "
    "mi tu y o no de del a al en para con este esta hay me está cuántos hola gracias",
    "it": "il lo la gli le un una è sono era che cosa chi quando dove perché come quale posso può io tu lui lei noi "
    "mio tuo e o non di del della a al in per con questo questa mi ciao grazie",
    "pt": "o a os as um uma é são era que quem quando onde porque como qual posso pode eu tu você ele ela nós meu seu "
    "e ou não de do da em no na para com este esta isso me olá obrigado obrigada",
    "nl": "de het een is zijn was wat wie wanneer waar waarom hoe welke kan kunnen ik jij je hij zij wij mijn en of "
    "niet van naar in op voor met dit dat er heb heeft hoi bedankt",
    "pl": "jest są był co kto kiedy gdzie dlaczego jak który czy mogę może ja ty on ona my mój i lub nie z do w na dla "
    "to ten ta się mi cześć dzięki",
    "sv": "en ett är var vad vem när varför hur vilken kan jag du han hon vi min och eller inte av till i på för med "
    "det den som har mig hej tack",
    # Turkish has a letter that looks like ours.
    "tr": "bir ve ne kim nas\u0131l neden nerede ben sen o biz bu şu mi m\u0131 mu için ile değil var yok çok merhaba",
}


def _weights(stop_words: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return what each word says for each language: the more languages have it, the less."""
    weights: dict[str, dict[str, float]] = {}
    for language, words in stop_words.items():
        for word in words.split():
            weights.setdefault(word, {})[language] = 1.0
    return {word: dict.fromkeys(languages, 1 / len(languages)) for word, languages in weights.items()}


_WEIGHTS = _weights(_STOP_WORDS)
# More says nothing more, and texts may be long.
_ENOUGH = 1_000


def category_of(text: str) -> Category:
    """Return the category that most key words of the text speak for."""
    text = text[:_ENOUGH]
    hits = {category: len(pattern.findall(text)) for category, pattern in _PATTERNS.items()}
    strong = [category for category in _PATTERNS if category not in _WEAK]
    return _most(hits, strong) or _most(hits, _WEAK) or Category.OTHER


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of the language, empty where the text does not say."""
    text = text[:_ENOUGH]
    for language, characters in _SCRIPTS:
        if re.search(characters, text):
            return language
    score = dict.fromkeys(_STOP_WORDS, 0.0)
    for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text.lower()):
        for language, weight in _WEIGHTS.get(word, {}).items():
            score[language] += weight
    best = max(score, key=score.__getitem__)
    # Two that are as likely as each other are none.
    return best if score[best] and list(score.values()).count(score[best]) == 1 else ""


def _most(hits: dict[Category, int], among: Iterable[Category]) -> Category | None:
    best = max(among, key=lambda category: hits[category])
    return best if hits[best] else None
