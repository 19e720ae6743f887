"""A canvas as coloured text: masks as blocks, tokens by age, from bright (new) to calm (old)."""

from __future__ import annotations

from collections.abc import Iterator

from rich.style import Style
from rich.text import Text

from unmask.canvas.canvas import MASKED, Births, Ids
from unmask.text.tokenizer import TextCodec

MASK = Style(color="grey39")
GIVEN = Style(color="grey62")
AGES = tuple(
    Style(color=color, bold=age == 0)
    for age, color in enumerate(("#ffd75f", "#ffaf5f", "#ff8787", "#d787d7", "#af87ff", "#87afff"))
)
BROKEN = "\ufffd"  # what part of a character decodes to
CHARACTER = 8  # tokens that one character and its neighbours may take
OLD = Style(color="#87d7d7")


def draw(tokens_L: Ids, born_L: Births, step: int, codec: TextCodec | None) -> Text:
    """The answer after forward ``step``. Without a tokenizer the ids themselves are shown."""
    text = Text()
    ages = [MASKED if born > step else born for born in born_L.tolist()]
    for start, stop in _runs(tokens_L.tolist(), ages, codec):
        ids, born = tokens_L[start:stop].tolist(), max(ages[start:stop])
        hidden = ages[start] == MASKED
        piece = " ░" if hidden else codec.decode(ids) if codec else f" {ids[0]}"
        word = piece.lstrip(" ")
        text.append(" " * (len(piece) - len(word)))  # unstyled: SVG drops a span's leading spaces
        text.append(word, MASK if hidden else _style(born, step))
    return text


def _runs(tokens: list[int], ages: list[int], codec: TextCodec | None) -> Iterator[tuple[int, int]]:
    """(start, stop) of what is decoded together: a token, or the tokens of one character."""
    start = 0
    while start < len(tokens):
        stop = start + 1
        if codec and ages[start] != MASKED and BROKEN in codec.decode(tokens[start:stop]):
            end = min(start + CHARACTER, len(tokens))
            whole = (
                at
                for at in range(start + 2, end + 1)
                if MASKED not in ages[start:at] and BROKEN not in codec.decode(tokens[start:at])
            )
            stop = next(whole, stop)
        yield start, stop
        start = stop


def _style(born: int, step: int) -> Style:
    if born == 0:
        return GIVEN
    age = step - born
    return AGES[age] if age < len(AGES) else OLD
