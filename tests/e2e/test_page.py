"""What the page shows: answers, trajectories and gaps, as `unmask.generate` has them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import unmask
from browsing import births, figure, run, text_of, to
from serving import QUESTION, until

FIXED = (
    "We solve this in small steps. Mia starts with", 1, " apples. Step 1: Mia", 2,
    " apples, so 12 + 7 =", 1, ". In the end Mia has", 1, " apples. The answer is", 1, ".",
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return unmask.load("tiny-fast", device="cpu")


@pytest.mark.parametrize(("preset", "length"), [("d3llm", 96), ("vanilla", 32)])
def test_the_answer_its_births_and_its_figures_are_those_of_generate(visit, model, preset, length):
    page = visit()
    page.fill("#prompt", QUESTION)
    page.select_option("#preset", preset)
    page.click("#settings summary")
    page.fill("#max_tokens", str(length))
    run(page)
    [wanted] = unmask.generate(model, QUESTION, preset=preset, max_new_tokens=length)
    film = wanted.trajectory
    assert text_of(page).startswith(wanted.text)
    assert births(page) == film.born_L[film.prompt_length :].tolist()
    assert figure(page, "forwards") == wanted.forwards
    assert figure(page, "fed") == wanted.fed_positions
    assert figure(page, "perForward") == pytest.approx(wanted.tokens_per_forward, abs=0.06)
    assert wanted.text in page.inner_text("#said")


def test_scrubbing_shows_the_canvas_as_it_was_after_every_forward(visit, model):
    page = visit()
    run(page)
    film = unmask.generate(model, QUESTION)[0].trajectory
    born = film.born_L[film.prompt_length :]
    to(page, "Home")
    for step in range(film.steps + 1):
        assert page.get_attribute("#scrub", "aria-valuetext") == f"forward {step} of {film.steps}"
        assert page.locator(".cell.mask").count() == np.count_nonzero(born > step)
        assert figure(page, "forwards") == step
        to(page, "ArrowRight")
    page.focus("#run")  # where a mouse leaves the focus
    page.keyboard.press("ArrowLeft")
    assert page.input_value("#scrub") == str(film.steps - 1)
    page.locator(".trace svg").click(position={"x": 60, "y": 60})
    assert page.input_value("#scrub") == "1"
    page.click("#next")
    page.click("#back")
    page.click("#first")
    assert page.locator(".cell.mask").count() == len(born)


def test_play_and_pause_by_key_and_button(visit):
    page = visit()
    run(page)
    page.select_option("#speed", "1")
    to(page, " ")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Play"
    page.select_option("#speed", "real")
    page.click("#play")
    page.wait_for_selector("#play[aria-label=Play]")
    assert page.input_value("#scrub") == page.get_attribute("#scrub", "max")


def test_a_token_tells_its_position_forward_and_confidence(visit):
    page = visit()
    run(page)
    page.locator(".cell").nth(5).hover()
    assert re.match(r"Position 5: “ steps”, written in forward 1, confidence [01]\.\d+",
                    page.inner_text(".readout"))  # fmt: skip
    assert page.is_visible(".readout")
    page.locator(".cell").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".readout").startswith("Position 1:")
    assert page.input_value("#scrub") == page.get_attribute("#scrub", "max")


def test_two_presets_side_by_side_and_a_verdict(visit, model):
    page = visit({"mode": "compare", "prompt": QUESTION, "max_tokens": 48})
    run(page)
    one, two = (
        unmask.generate(model, QUESTION, preset=preset, max_new_tokens=48)[0]
        for preset in ("d3llm", "vanilla")
    )
    assert [figure(page, "forwards", at) for at in (0, 1)] == [one.forwards, two.forwards]
    assert one.text == two.text
    assert page.inner_text("#verdict h2").startswith("Same answer, ")
    line = page.inner_text("#verdict p")
    assert f"{one.forwards} forwards instead of " in line
    assert page.locator(".differs").count() == 0
    to(page, "Home")
    to(page, "ArrowRight", one.forwards + 1)
    assert figure(page, "forwards", 0) == one.forwards
    assert figure(page, "forwards", 1) == one.forwards + 1


def test_gaps_are_filled_and_the_given_text_stands(visit, model):
    page = visit()
    page.click("text=gaps to fill")
    page.click("#more")
    page.click("#fewer")
    run(page)
    [wanted] = unmask.generate(model, unmask.Infill(*FIXED, prompt=QUESTION))
    assert text_of(page) == wanted.text
    film = wanted.trajectory
    given = np.count_nonzero(film.born_L[film.prompt_length :] == 0)
    assert page.locator(".cell.given").count() == given


@pytest.mark.parametrize("mode", ["answer", "infill"])
def test_copied_commands_give_the_same_answer(visit, mode):
    allowed = ["clipboard-read", "clipboard-write"]
    page = visit({"mode": mode, "prompt": QUESTION}, permissions=allowed)
    run(page)
    found = {}
    for name in ("curl", "python", "text", "link"):
        page.evaluate("navigator.clipboard.writeText('')")
        page.click(f"#copy-{name}")
        until(lambda: page.evaluate("navigator.clipboard.readText()"))
        found[name] = page.evaluate("navigator.clipboard.readText()")
    program = subprocess.run(
        [sys.executable, "-c", found["python"]], check=True, capture_output=True, text=True
    )
    assert program.stdout.startswith(found["text"])
    assert visit(url=found["link"]).input_value("#prompt") == QUESTION
    if shutil.which("curl"):
        command = ["bash", "-c", found["curl"]]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        last = answer.strip().splitlines()[-1].removeprefix("data: ")
        assert json.loads(last)["text"] == found["text"]


def visit_text(visit, url):
    return visit(url=url.replace("/#", "#")).input_value("#prompt")
