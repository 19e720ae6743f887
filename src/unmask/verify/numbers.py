r"""Which number does a free answer give?

A number that is stated as the answer counts before any other, in this order:

1. the last ``\boxed{...}``;
2. the last ``#### ...``, to the end of the line;
3. the last "answer is ..." or "answer: ...", to the end of the sentence.

Of such a statement the first number after its last "=" is taken ("5 * 2 = 10 apples in 3 bags" is
10). Without a statement, or if none holds a number, the last number of the text is the answer.

Thousands commas, a currency sign, a dot that ends the sentence, a percent sign and units are no
part of a number; 18.0 is 18, and 1/2 or \frac{1}{2} is a half. A minus counts where nothing stands
before it that it could subtract from. Powers of ten and mixed fractions are not put together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from unmask.verify.boxes import last_box

MOST_DIGITS = 50  # Python refuses to read integers of 4,301 digits; no answer comes near that
NUMBER = re.compile(
    r"(?P<sign>(?:(?<![\w)\]}])-)?(?:\\?[$€£₩]-?)?)"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\w.])\.\d+)"
    r"(?:/(?P<under>\d+))?",
    re.ASCII,
)
SAYS = re.compile(r"\banswer(?:\W{0,4}\bis\b|\W{0,3}:)", re.IGNORECASE)
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
FRACTION = re.compile(r"(?<!\d)\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}", re.ASCII)
# Typographic minus signs and full-width digits; LaTeX's thin spaces hold thousands together.
PLAIN = {0x2212: "-", 0x2013: "-", 0xFE63: "-", 0xFF0D: "-"} | {
    0xFF10 + digit: str(digit) for digit in range(10)
}
THIN = re.compile(r"(?<=\d)(?:\{,\}|\\[,!]|\\ )(?=\d{3})", re.ASCII)


def final_number(text: str) -> Fraction | None:
    """The number that ``text`` gives as its answer, by the rule above; None if it has none."""
    plain = _plain(text)
    stated = _stated(plain)
    return next(iter(_numbers(plain, backwards=True)), None) if stated is None else stated


def stated_number(text: str) -> Fraction | None:
    """The number that ``text`` states as its answer in one of the three forms; None if none."""
    return _stated(_plain(text))


def _stated(text: str) -> Fraction | None:
    for statement in _statements(text):
        for part in (statement.rpartition("=")[2], statement):
            for number in _numbers(part):
                return number
    return None


def _statements(text: str) -> Iterator[str]:
    box = last_box(text)
    if box is not None:
        yield box
    if "####" in text:
        yield text.rpartition("####")[2].split("\n", 1)[0]
    said = [found.end() for found in SAYS.finditer(text)]
    if said:
        yield SENTENCE_END.split(text[said[-1] :].lstrip(" \t\r\n:*"), maxsplit=1)[0]


def _numbers(text: str, *, backwards: bool = False) -> Iterator[Fraction]:
    found = list(NUMBER.finditer(text)) if backwards else NUMBER.finditer(text)
    for match in reversed(found) if isinstance(found, list) else found:
        number = _value(match)
        if number is not None:
            yield number


def _value(match: re.Match[str]) -> Fraction | None:
    digits, under = match["digits"].replace(",", ""), match["under"] or "1"
    if len(digits) + len(under) > MOST_DIGITS or not int(under):
        return None
    number = Fraction(digits) / int(under)
    return -number if "-" in match["sign"] else number


def _plain(text: str) -> str:
    return FRACTION.sub(r"\1/\2", THIN.sub("", text.translate(PLAIN)))
