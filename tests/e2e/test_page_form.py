"""The page's form: how it is sent, what is wrong in it, and what a change of it takes away."""

from __future__ import annotations

import pytest

import unmask
from browsing import figure, run
from serving import QUESTION, until

PHONE = {"width": 390, "height": 844}
# Widths of the texts of a select beside the room it has for them.
CLIPPED = """() => {
  const shown = [...document.querySelectorAll("select")].filter((one) => one.checkVisibility());
  return shown.flatMap((one) => {
    const style = getComputedStyle(one);
    const context = document.createElement("canvas").getContext("2d");
    context.font = style.font;
    const arrow = style.appearance === "none" ? 0 : 16;
    const padding = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    const texts = [...one.options].map((option) => option.text);
    const room = one.clientWidth - padding - arrow;
    return texts.filter((text) => context.measureText(text).width > room);
  });
}"""
BOXES = """() => Object.fromEntries(["#verdict", ".answer", ".transport"].map((name) => {
  const { top, bottom } = document.querySelector(name).getBoundingClientRect();
  return [name, [top, bottom]];
}))"""


def wrong_fields(page):
    page.wait_for_selector("#stage[aria-busy=false]")
    marked = page.locator("[aria-invalid=true]").evaluate_all("all => all.map(one => one.id)")
    told = page.locator(".error:visible").evaluate_all(
        "all => all.map(one => one.id.replace('-error', ''))"
    )
    return sorted(marked), sorted(told)


def test_all_wrong_settings_are_told_at_once(visit, page_server):
    page = visit(allowed="400")
    page.click("#settings summary")
    wrong = {"max_tokens": "0", "temperature": "-1", "threshold": "many", "seed": "1.5"}
    for name, value in {**wrong, "block_length": "16"}.items():
        page.fill(f"#{name}", value)
    page.click("#run")
    page.wait_for_selector("[aria-invalid=true]:focus")
    assert wrong_fields(page) == (sorted(wrong), sorted(wrong))
    assert all(name in page.inner_text(f"#{name}-error") for name in wrong)
    until(lambda: page_server.metric("unmask_running") == 0)
    page.fill("#seed", "1")
    assert page.is_hidden("#seed-error")
    assert page.is_visible("#threshold-error")
    page.fill("#temperature", "0")
    page.click("#run")
    page.wait_for_selector("#seed:not([aria-invalid])")
    page.wait_for_selector("[aria-invalid=true]:focus")
    assert wrong_fields(page)[0] == ["max_tokens", "threshold"]


def test_of_two_requests_each_is_told_what_is_wrong_with_it(visit):
    state = {"mode": "compare", "threshold": "-1", "threshold_b": "-2", "temperature": "500"}
    page = visit({**state, "against": "fast-dllm"}, allowed="400")
    page.click("#run")
    page.wait_for_selector("#temperature[aria-invalid=true]:focus")
    assert wrong_fields(page)[0] == ["temperature", "threshold", "threshold_b"]
    assert "-2" in page.inner_text("#threshold_b-error")


def test_a_prompt_that_does_not_fit_hides_no_wrong_setting(visit):
    page = visit({"prompt": "so " * 3000, "temperature": "hot"}, allowed="400")
    page.click("#run")
    page.wait_for_selector("[aria-invalid=true]:focus")
    assert wrong_fields(page)[0] == ["prompt", "temperature"]


@pytest.mark.parametrize("field", ["#prompt", "#part-2", "#seed"])
def test_ctrl_enter_sends_from_anywhere_in_the_form_and_the_page_says_so(visit, field):
    page = visit({"mode": "infill", "seed": 1})
    assert "Ctrl+Enter" in page.inner_text("#ask")
    page.focus(field)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#said:has-text('Done. ')", state="attached")


def by_radio(page):
    page.click("label[for=mode-answer]")


def by_example(page):
    page.click("text=gaps to fill")


def by_link(page):
    page.evaluate("location.hash = 'prompt=hi'")


@pytest.mark.parametrize("change", [by_radio, by_example, by_link])
def test_what_was_compared_goes_when_the_form_asks_for_something_else(visit, change):
    page = visit({"mode": "compare", "max_tokens": 16})
    run(page)
    assert page.is_visible("#verdict")
    change(page)
    page.wait_for_selector("#verdict", state="hidden")
    assert page.locator(".panel").count() == 1
    assert page.locator(".cell:not(.mask)").count() == 0
    assert page.is_disabled("#copy-text")
    assert page.is_disabled("#scrub")


def test_what_is_being_decoded_stops_when_the_mode_changes(visit, page_server):
    page = visit({"preset": "vanilla", "max_tokens": 900})
    page.click("#run")
    until(lambda: page_server.metric("unmask_running") == 1)
    page.click("label[for=mode-infill]")
    until(lambda: page_server.metric("unmask_running") == 0)
    assert page.inner_text("#run") == "Unmask"
    assert page.locator(".error:visible").count() == 0


def test_forwards_that_wrote_padding_only_do_not_make_the_other_decoder_faster(visit):
    model = unmask.load("tiny-fast", device="cpu")
    page = visit({"mode": "compare", "prompt": QUESTION, "max_tokens": 96})
    run(page)
    useful, all_of_them = [], []
    for preset in ("d3llm", "vanilla"):
        [one] = unmask.generate(model, QUESTION, preset=preset, max_new_tokens=96)
        film = one.trajectory
        born = film.born_L[film.prompt_length :][: one.tokens]
        useful.append(len(set(born.tolist())))
        all_of_them.append(one.forwards)
    fast, slow = useful
    left = all_of_them[1] - slow
    assert left > 0  # or there would be nothing to tell apart
    ratio = slow / fast
    shown = f"{ratio:.1f}" if ratio < 10 else str(int(ratio + 0.5))
    assert f"{shown}× fewer forwards with d3llm" in page.inner_text("#verdict h2")
    line = page.inner_text("#verdict p")
    assert f"{fast} forwards instead of {slow}" in line
    assert f"{left} of vanilla" in line
    assert [figure(page, "forwards", at) for at in (0, 1)] == all_of_them


@pytest.mark.parametrize("mode", ["answer", "compare", "infill"])
def test_a_phone_clips_no_choice_and_hides_no_answer(visit, mode):
    page = visit({"mode": mode, "max_tokens": 96}, viewport=PHONE, reduced_motion="reduce")
    page.wait_for_selector("#model option", state="attached")
    assert page.evaluate(CLIPPED) == []
    page.click("#run")
    page.wait_for_selector("#said:has-text('Done')", state="attached")
    boxes = page.evaluate(BOXES)
    bar = boxes[".transport"][0]
    assert bar > 0.9 * PHONE["height"]
    first = "#verdict" if mode == "compare" else ".answer"
    assert boxes[first][0] >= 0
    assert boxes[".answer"][1] <= bar
