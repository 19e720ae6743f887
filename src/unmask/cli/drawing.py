"""A canvas as coloured text: masks as blocks, tokens by age, from bright (new) to calm (old)."""

from __future__ import annotations

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
OLD = Style(color="#87d7d7")


def draw(tokens_L: Ids, born_L: Births, step: int, codec: TextCodec | None) -> Text:
    """The answer after forward ``step``. Without a tokenizer the ids themselves are shown."""
    text = Text()
    for token, born in zip(tokens_L.tolist(), born_L.tolist(), strict=True):
        hidden = born == MASKED or born > step
        piece = " ░" if hidden else codec.decode([token]) if codec else f" {token}"
        word = piece.lstrip(" ")
        text.append(" " * (len(piece) - len(word)))  # unstyled: SVG drops a span's leading spaces
        text.append(word, MASK if hidden else _style(born, step))
    return text


def _style(born: int, step: int) -> Style:
    if born == 0:
        return GIVEN
    age = step - born
    return AGES[age] if age < len(AGES) else OLD
