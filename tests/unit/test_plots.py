"""Plots: valid files of the right size that say what they show, the same bytes every time."""

import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from records import answers, sweep

pytest.importorskip("matplotlib")

from unmask.canvas.trajectory import Trajectory
from unmask.errors import InputError
from unmask.evaluate import published
from unmask.evaluate.curve import scored
from unmask.evaluate.leaderboard import averages, tables
from unmask.evaluate.metrics import curves as measured
from unmask.evaluate.metrics import points
from unmask.evaluate.plots import bars, curves, heat, radar, style

GSM8K = scored(published.curves("LLaDA", "GSM8K-CoT"))
MINE = scored(
    measured(points([*sweep(), *sweep("vanilla", speeds=(1,)), *answers(40, 30, method="ar")]))
)
LLADA = tables([], ["LLaDA"])


def film(births, *, tokens=None, prompt=2):
    born = np.array([0] * prompt + births, dtype=np.int32)
    ids = np.array([9] * prompt + (tokens or [*range(1, len(births) - 1), 0, 0]), dtype=np.int64)
    fed = np.ones(max(births), dtype=np.int64)
    return Trajectory(ids, born, prompt, 99, fed, "tiny", "blocks")


STRIPS = [
    heat.strip(film([1, 2, 3, 4, 5, 6, 7, 8]), "one by one"),
    heat.strip(film([1, 1, 1, 2, 2, 2, 2, 2]), "four at once"),
]
DRAWN = {
    "direct": lambda theme: curves.draw(GSM8K, "GSM8K", theme),
    "key": lambda theme: curves.draw(MINE, "stories", theme),
    "radar": lambda theme: radar.draw(LLADA, "LLaDA", theme),
    "bars": lambda theme: bars.draw(bars.panels(LLADA[:2], "aup"), "aup", theme),
    "means": lambda theme: bars.draw(bars.means(averages([], ["Coder"])), "aup", theme),
    "heat": lambda theme: heat.draw(STRIPS, "order", theme, 4),
}
SAID = {
    "direct": ["d3LLM-LLaDA", "AUP 637.7 (1.00)", "tokens per forward", "accuracy (%)", "shaded"],
    "key": ["d3llm", "vanilla", "bars: 95 %"],
    "radar": ["GSM8K-CoT", "638", "dParallel-LLaDA", "start at 1.00 tokens per forward or less"],
    "bars": ["d3LLM-LLaDA", "638 (1.00)", "GSM8K-CoT, LLaDA, published"],
    "means": ["d3LLM-Coder-7B", "184 (1.00)", "mean over 4 tasks"],
    "heat": ["one by one", "8 forwards", "2 forwards", "position in the answer"],
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", DRAWN)
def test_files_are_valid_say_their_labels_and_repeat_byte_by_byte(kind, theme, tmp_path):
    for name in ("a", "b"):
        for suffix in ("svg", "png"):
            style.save(DRAWN[kind](theme), tmp_path / f"{name}.{suffix}")
    svg, png = (tmp_path / "a.svg").read_bytes(), (tmp_path / "a.png").read_bytes()
    assert svg == (tmp_path / "b.svg").read_bytes()
    assert png == (tmp_path / "b.png").read_bytes()
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    text = svg.decode()
    said = " ".join(re.findall(r"<!-- (.*?) -->", text, re.DOTALL))
    assert not [label for label in SAID[kind] if label not in said]
    assert style.THEMES[theme].background in text
    assert b"<dc:date>" not in svg
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    inches = DRAWN[kind](theme).get_size_inches()
    assert (width, height) == pytest.approx(tuple(inches * style.DPI), abs=1)
    assert 6 <= inches[0] <= 8.2


def test_pdf_repeats_too(tmp_path):
    for name in "ab":
        style.save(curves.draw(GSM8K, "GSM8K"), tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_names_keep_clear_of_each_other():
    axes = curves.draw(GSM8K, "GSM8K").axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(GSM8K)
    assert not [
        (a, b)
        for n, a in enumerate(boxes)
        for b in boxes[:n]
        if not text_only(axes, n) and a.overlaps(b)
    ]


def text_only(axes, number):
    """Annotations with a leading line have a larger extent than their text."""
    return axes.texts[number].arrow_patch is not None


def test_a_crowd_gets_a_key_that_fits():
    many = [
        curve for family in ("LLaDA", "Dream") for curve in published.curves(family, "GSM8K-CoT")
    ]
    figure = curves.draw(scored(many), "all")
    figure.draw_without_rendering()
    (key,) = figure.legends
    box = key.get_window_extent()
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_wide_ranges_are_logarithmic():
    assert curves.draw(MINE, "stories").axes[0].get_xscale() == "log"
    assert curves.draw(GSM8K, "GSM8K").axes[0].get_xscale() == "linear"


def test_all_bars_fit_in():
    slow = sweep(task="a", speeds=(1,))
    panels = bars.panels(tables(measured(points([*slow, *sweep(task="b")]))), "tokens-per-forward")
    figure = bars.draw(panels, "tokens-per-forward")
    assert all(axes.get_xlim()[1] > 15 for axes in figure.axes)


def test_looks_differ_in_grey_as_well():
    looks = [style.look(style.THEMES["light"], n) for n in range(56)]
    assert len({(one.colour, one.mark) for one in looks}) == 56
    assert len({one.mark for one in looks[:8]}) == 8


@pytest.mark.parametrize(
    ("tokens", "end"), [([1, 2, 3, 0, 0, 0], 4), ([1, 2, 3, 4, 5, 6], 6), ([0, 0, 0, 0, 0, 0], 1)]
)
def test_where_a_text_ends(tokens, end):
    assert heat.strip(film([1] * 6, tokens=tokens)).end == end


def test_what_cannot_be_drawn_is_said(tmp_path):
    for attempt, words in [
        (lambda: curves.draw([], "x"), "no curve to draw"),
        (
            lambda: radar.draw(LLADA[:2], "x"),
            "at least 3 tasks, not 2 tasks",
        ),
        (
            lambda: radar.draw([*LLADA, *tables([], ["Coder"])], "x"),
            "no method has an AUP on all tasks",
        ),
        (lambda: bars.panels(LLADA, "beauty"), "figure='beauty' is not known"),
        (lambda: bars.draw([], "accuracy"), "nobody has accuracy"),
        (lambda: heat.draw([], "x"), "no answer to draw"),
        (lambda: curves.draw(GSM8K, "x", "pink"), "theme='pink' is not known"),
        (lambda: style.save(curves.draw(GSM8K, "x"), tmp_path / "a.gif"), "end it in .svg"),
    ]:
        with pytest.raises(InputError, match=words):
            attempt()


def test_without_matplotlib_the_message_says_what_to_install():
    code = "import sys; sys.modules['matplotlib'] = None; from unmask.evaluate.plots import curves"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "InputError" in done.stderr
    assert "pip install 'unmask[eval]'" in done.stderr
