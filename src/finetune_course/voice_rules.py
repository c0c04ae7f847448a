"""The eight rules of the brand voice, each checked by itself and each with what was found, so that a reader can object.

The rules are those of data/voice/style_guide.md; their word lists are in data/voice/lexicon.yaml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from .paths import data_path

RULES = ("opening", "short", "you", "contractions", "image", "plain", "calm", "sign_off")
MAX_WORDS, MIN_SENTENCES, MAX_SENTENCES, MAX_SIGN_OFF_WORDS = 14, 3, 7, 6

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”')]*\s+")
_YOU = re.compile(r"\b(?:you|your|yours|yourself|yourselves)\b", re.IGNORECASE)
_CONTRACTION = re.compile(
    r"\b\w+(?:n't|'re|'ll|'ve|'d|'m)\b"
    r"|\b(?:it|that|there|here|what|who|where|everything|one|nothing|how|let|she|he)'s\b"
    # After a noun, 's may be a possessive; before these words it is "is" or "has".
    r"|\b\w+'s (?:been|got|gone|on|in|out|up|at|to|for|the|a|an|not|still|now|too|all|never|only|just|yours|made|free"
    r"|as|[a-z]+ed|[a-z]+ing|\d)\b",
    re.IGNORECASE,
)
_LONG_FORM = re.compile(
    r"\b(?:(?:do|does|did|is|are|was|were|could|would|should|have|has|had|will|must|can) not|cannot"
    r"|(?:it|that|there|here) is|(?:we|they|you) (?:are|will|have)|it will|i (?:am|will|have))\b(?!')",
    re.IGNORECASE,
)
_COMPARISON = re.compile(r"\b(?:like|(?<!such )as|than)\b((?:,?\s+[\w'-]+){1,8})", re.IGNORECASE)
_EMOJI = re.compile("[☀-➿⬀-⯿️\U0001f000-\U0001faff]")
_LOUD = re.compile(r"\b[A-Z]{4,}\b")
_BULLET = re.compile(r"^\s*(?:[-*•#]|\d+[.)])\s", re.MULTILINE)
_WORD = re.compile(r"[\w'-]+")


@dataclass(frozen=True)
class RuleResult:
    """One rule's outcome: its name, whether it is kept, and what was found (or what is missing), in words."""

    rule: str
    kept: bool
    found: str


def check_rules(text: str) -> list[RuleResult]:
    """All eight rules on one text, in the order of RULES. Any text is judged, an empty one too; nothing is raised."""
    text = plain_quotes(text)
    opening, body, sign_off = parts(text)
    whole = f"{body} {sign_off}".strip()
    checks = {
        "opening": (bool(opening), opening or f"begins with '{text[:20]}'"),
        "short": _short(text, opening),
        "you": _found(_YOU.findall(body), "no 'you' before the sign-off"),
        "contractions": _contractions(whole),
        "image": _image(body),
        "plain": _plain(whole),
        "calm": _calm(text),
        "sign_off": _sign_off(sign_off),
    }
    return [RuleResult(name, *checks[name]) for name in RULES]


def plain_quotes(text: str) -> str:
    """The text, stripped, with typographic apostrophes and quotation marks as plain ones."""
    return text.strip().translate(str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'}))


def sentences(text: str) -> list[str]:
    """The text's sentences: cut after . ! ? or … and a space. A decimal point or "6.30 am" is no end."""
    return [part for part in _SENTENCE_END.split(plain_quotes(text)) if part]


def parts(text: str) -> tuple[str, str, str]:
    """(opening, body, sign-off) of a text; an opening or a sign-off that is not there is an empty string.

    The sign-off is the last sentence if it begins with "See you". The body is what the splits' texts must not share.
    """
    text = plain_quotes(text)
    opening = next((known for known in _lexicon()["openings"] if text.startswith(known)), "")
    pieces = sentences(text[len(opening) :].strip())
    sign_off = pieces.pop() if pieces and pieces[-1].startswith("See you") else ""
    return opening, " ".join(pieces), sign_off


def images(text: str) -> list[str]:
    """The words of bush and sea that the text compares with: one for each sentence that holds such a comparison."""
    found = []
    for sentence in sentences(text):
        compared = (word for match in _COMPARISON.finditer(sentence) for word in _WORD.findall(match[1]))
        word = next((word for word in compared if _forms(word) & _lexicon()["images"]), None)
        found += [word] if word else []
    return found


def loops(text: str) -> bool:
    """Does the text say a sentence three times or more? A model that is stuck does; no reader calls that a voice."""
    pieces = [piece.lower() for piece in sentences(text)]
    return any(pieces.count(piece) >= 3 for piece in set(pieces))


def _found(words: list[str], otherwise: str) -> tuple[bool, str]:
    return bool(words), ", ".join(dict.fromkeys(words)) or otherwise


def _short(text: str, opening: str) -> tuple[bool, str]:
    pieces = sentences(text[len(opening) :])
    longest = max(pieces, key=lambda piece: len(piece.split()), default="")
    words = len(longest.split())
    if _BULLET.search(text) or "\n" in text:
        return False, "a list or more than one paragraph"
    if len(set(pieces)) < len(pieces):
        return False, "a sentence stands there twice"
    if words > MAX_WORDS:
        return False, f"{words} words: {longest}"
    return MIN_SENTENCES <= len(pieces) <= MAX_SENTENCES, f"{len(pieces)} sentences, the longest of {words} words"


def _contractions(text: str) -> tuple[bool, str]:
    if long_form := _LONG_FORM.search(text):
        return False, f"long form: {long_form[0]}"
    return _found([match[0] for match in _CONTRACTION.finditer(text)], "no contraction")


def _image(body: str) -> tuple[bool, str]:
    found = images(body)
    return len(found) == 1, ", ".join(found) or "no comparison with bush or sea"


def _plain(text: str) -> tuple[bool, str]:
    found = [match[0] for match in _lexicon()["not ours"].finditer(text)]
    return not found, ", ".join(dict.fromkeys(found)) or "no foreign words"


def _calm(text: str) -> tuple[bool, str]:
    loud = [mark for mark in ("!", "...", "…") if mark in text] + _EMOJI.findall(text) + _LOUD.findall(text)
    return not loud, ", ".join(dict.fromkeys(loud)) or "calm"


def _sign_off(sentence: str) -> tuple[bool, str]:
    words = _WORD.findall(sentence)
    if not sentence:
        return False, "the last sentence is not 'See you …'"
    if len(words) > MAX_SIGN_OFF_WORDS:
        return False, f"{len(words)} words: {sentence}"
    outdoors = any(_forms(word) & _lexicon()["places"] for word in words[2:])
    return outdoors, sentence if outdoors else f"no place outdoors: {sentence}"


def _forms(word: str) -> set[str]:
    """The word in lower case, without 's or a plural ending, and the parts of a word with a hyphen."""
    word = re.sub(r"'s?$", "", word.lower())
    return {word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ies$", "y", word), *word.split("-")}


@lru_cache(maxsize=1)
def _lexicon() -> dict[str, Any]:
    raw = yaml.safe_load(data_path("voice", "lexicon.yaml").read_text(encoding="utf-8"))
    foreign = [word.strip() for kind in ("business", "hype", "parody") for word in raw[kind].split(",")]
    longest_first = "|".join(map(re.escape, sorted(foreign, key=len, reverse=True)))
    return {
        "openings": tuple(raw["openings"]),
        "images": frozenset(" ".join(raw["images"].values()).split()),
        "places": frozenset(raw["places"].split()),
        "not ours": re.compile(rf"(?<![\w'-])(?:{longest_first})(?![\w'-])", re.IGNORECASE),
    }
