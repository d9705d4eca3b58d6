"""Which language a text is in, as far as a warning needs it: by its script, and by its commonest words.

Languages of the Latin script differ in their articles, pronouns and prepositions, which are every third to second word
of prose; code, tables and lists of names have few of any language, and are nothing then. No model, no dictionary.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

_MOST: Final = 20_000
"""Characters that are looked at."""
_LEAST_WORDS: Final = 30
_LEAST_LETTERS: Final = 60
_SHARE: Final = 0.12
"""Of all words, that the commonest ones of the language must be."""
_DIFFERENT: Final = 7
"""So many of them, for names and code repeat a few."""
_CLEARLY: Final = 1.5
"""So many times as many as of any other language."""
_OTHER_SCRIPT: Final = 0.5
"""Of all letters, that those of another script must be."""

_WORD: Final = re.compile(r"[^\W\d_]+")
_NO_PROSE: Final = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|^[ \t]*\|[^\n]*|^(?: {4}|\t)[^\n]*", re.DOTALL | re.MULTILINE
)

_COMMON: Final = {
    "English": "the of and to in is that it was for on are with as his they at be this from have or by but not what "
    "were we when your can there an which their will would about them these so her him has been if who",
    "German": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an "
    "werden aus er "
    "hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis "
    "mehr durch man sein wurde wenn ich wir ihr kann",
    "French": "de la le et les des en un du une que est pour qui dans par plus pas au sur ne se ce il sont avec son sa "
    "ses aux cette ou mais nous vous leur comme été être elle ils ont on je tout si fait ces deux",
    "Spanish": "de la que el en y a los del se las por un para con no una su al lo como más pero sus le ya o este sí "
    "porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante todos uno les ni",
    "Portuguese": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao "
    "ele das tem à "
    "seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos",
    "Italian": "di che e la il un a per è in una non sono del si da con le i dei della nel al come alla gli "
    "lo più ma ha "
    "anche o se nella delle questo questa dal su loro essere ci stato tra dalla degli ai era cui suo sua perché",
    "Dutch": "de van het een en in is dat op te zijn met voor niet aan er om ook als dan maar bij uit nog "
    "door naar heeft "
    "ze wordt over zij hij worden deze dit was had of die kan tot wel geen werd meer hun wij",
    "Polish": "i w na z do się nie jest to że o od za po jak co przez dla oraz ale ma są był być może tym "
    "tego tak które "
    "który która jej jego czy tylko już roku przy ich lub ze we",
    "Swedish": "och i att det som en på är av för den till inte har de med ett om han men var jag sig från vi så kan "
    "hade när man skulle eller efter vid också mycket denna detta sin hans",
    "Danish": "og i at det er en til af på den for ikke de med der har et som han var jeg fra vi kan om ved men sig så "
    "havde efter eller skal også blev være denne dette hun",
    "Turkish": "ve bir bu da de için ile çok olarak olan daha gibi ne en kadar sonra değil ama her var o ise ya ben mi "
    "veya tarafından olduğu",
    "Czech": "a v se na je že s z do o to i k za ve pro by ale jako po tak jsou od který která které nebo byl aby jeho "
    "při už jen být",
    "Indonesian": "yang dan di dari untuk dengan pada ini itu dalam tidak adalah akan ke oleh juga sebagai atau ada "
    "mereka telah dapat karena",
    "Vietnamese": "và của là có trong được cho không với các một những người này đã từ để khi về như đến tại nhưng",
}
_WORDS: Final = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_SCRIPTS: Final = (
    ("Japanese", "\u3040-\u30ff"),
    ("Korean", "\uac00-\ud7af\u1100-\u11ff"),
    ("Chinese", "\u3400-\u4dbf\u4e00-\u9fff"),
    ("Russian or another language in Cyrillic letters", "\u0400-\u052f"),
    ("Arabic or another language in Arabic letters", "\u0600-\u06ff\u0750-\u077f"),
    ("Hebrew", "\u0590-\u05ff"),
    ("Greek", "\u0370-\u03ff"),
    ("Hindi or another language in Devanagari letters", "\u0900-\u097f"),
    ("Thai", "\u0e00-\u0e7f"),
)
_IN_SCRIPT: Final = {language: re.compile(f"[{letters}]") for language, letters in _SCRIPTS}
_DENSE: Final = {"Japanese": 0.15, "Korean": 0.3, "Chinese": 0.3}
"""A letter of these is a syllable or a word, so fewer of them make a text."""


def language_of(text: str) -> str | None:
    """Return the English name of a text's language; None: it is too short, or no prose of a language that is known."""
    prose = _NO_PROSE.sub(" ", text[:_MOST])
    words = [word.lower() for word in _WORD.findall(prose)]
    letters = sum(map(len, words))
    if letters < _LEAST_LETTERS and not (letters >= _LEAST_LETTERS // 3 and any(map(_dense, words))):
        return None
    for language, pattern in _IN_SCRIPT.items():
        if len(pattern.findall(prose)) >= _DENSE.get(language, _OTHER_SCRIPT) * letters:
            return language
    return _latin(words)


def _dense(word: str) -> bool:
    return any(_IN_SCRIPT[language].search(word) for language in _DENSE)


def _latin(words: list[str]) -> str | None:
    if len(words) < _LEAST_WORDS:
        return None
    counts = Counter(words)
    shares = {language: sum(counts[word] for word in common) / len(words) for language, common in _WORDS.items()}
    (language, share), (_, second) = sorted(shares.items(), key=lambda found: -found[1])[:2]
    various = len(_WORDS[language] & counts.keys()) >= _DIFFERENT
    return language if various and share >= _SHARE and share >= _CLEARLY * second else None
