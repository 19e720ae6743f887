"""How the page behaves: errors, keys, keyboards, phones, colours, paper."""

from __future__ import annotations

import json

import numpy as np
import pytest

from browsing import figure, overflow, run
from serving import QUESTION, serving, until

START = {"preset": "d3llm", "settings": {}, "prompt_tokens": 3, "length": 4, "block_length": 4}


def test_an_error_stands_beside_its_field_until_that_is_changed(visit):
    page = visit({"prompt": QUESTION, "threshold": "-3"}, allowed="400")
    page.click("#run")
    page.wait_for_selector("#threshold[aria-invalid=true]:focus")
    assert "threshold" in page.inner_text("#threshold-error")
    assert page.get_attribute("#threshold", "aria-describedby") == "threshold-error"
    page.fill("#threshold", "many")
    assert page.is_hidden("#threshold-error")
    page.click("#run")
    page.wait_for_selector("#threshold[aria-invalid=true]")
    page.fill("#threshold", "")
    run(page)
    assert page.locator(".error:visible").count() == 0
    page.evaluate("location.hash = 'preset=ar&prompt=hi'")
    page.wait_for_function("document.querySelector('#preset').value === 'ar'")
    page.click("#run")
    page.wait_for_selector(".error:visible")


def test_a_second_preset_is_blamed_in_its_own_field(visit):
    page = visit({"mode": "compare", "preset": "d3llm", "threshold_b": "-1"}, allowed="400")
    page.click("#run")
    page.wait_for_selector("#threshold_b[aria-invalid=true]")


def event(name, **data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([event("start", **START)], "The stream ended before the answer did."),
        ([event("error", error={"message": "The model is tired."})], "The model is tired."),
        (["event: start\ndata: {\n\n"], "The answer could not be read"),
        (None, "The server cannot be reached"),
    ],
)
def test_a_broken_stream_is_told_in_a_sentence(visit, events, sentence):
    page = visit(allowed="Failed to load")
    page.route(
        "**/v1/canvas",
        lambda route: route.fulfill(body="".join(events)) if events else route.abort(),
    )
    page.click("#run")
    page.wait_for_selector("#general-error:visible")
    assert sentence in page.inner_text("#general-error")


def test_what_a_model_writes_is_text_and_nothing_else(visit):
    page = visit()
    evil = "<img src=x onerror=alert(1)>"
    texts = [evil, "\n", " ", "字"]
    tokens = [{"at": at, "text": text, "confidence": 0.5} for at, text in enumerate(texts)]
    body = event("start", **START)
    body += event("commit", step=1, seconds=0.1, fed=7, read=0, tokens=tokens)
    body += event("done", text=evil, usage={"completion_tokens": 4}, seconds=0.1)
    page.route("**/v1/canvas", lambda route: route.fulfill(body=body))
    run(page)
    assert page.locator(".answer img").count() == 0
    assert page.locator(".answer").inner_text().strip().startswith(evil)


def test_stop_ends_the_request(visit, page_server):
    page = visit({"preset": "vanilla", "max_tokens": 900})
    page.click("#run")
    page.wait_for_selector("#said:has-text('Decoding')", state="attached")
    page.wait_for_selector("#play[aria-label=Pause]")
    page.click("#stop")
    page.wait_for_selector("#said:has-text('Stopped')", state="attached")
    until(lambda: page_server.metric("unmask_running") == 0)


def test_a_key_is_asked_for_and_kept_in_memory_only(visit, tmp_path):
    with serving(tmp_path / "log", "--api-key", "sesame") as locked:
        page = visit(url=locked.url, allowed="401")
        page.wait_for_selector("#key:focus")
        page.keyboard.type("sesame")
        run(page)
        assert figure(page, "forwards") > 0
        kept = page.evaluate("JSON.stringify([location.href, {...localStorage}, document.cookie])")
        assert "sesame" not in kept


@pytest.mark.parametrize("mode", ["answer", "compare", "infill"])
def test_a_phone_needs_no_sideways_scrolling(visit, mode):
    page = visit({"mode": mode, "against": "fast-dllm"}, viewport={"width": 360, "height": 740})
    assert overflow(page) == 0
    page.click("#settings summary")
    page.click(".reading summary")
    run(page)
    assert overflow(page) == 0


def test_everything_is_reached_and_named_by_keyboard_alone(visit):
    page = visit(reduced_motion="reduce")  # a replay that runs meanwhile switches its buttons off
    page.wait_for_selector("#model option", state="attached")
    page.focus("#mode-answer")
    page.keyboard.press("ArrowRight")  # compare
    page.click("#settings summary")
    page.keyboard.press("Shift+Tab")
    page.focus("#against")
    page.keyboard.press("f")  # fast-dllm
    page.focus("#prompt")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#stage[aria-busy=false]")
    controls = "a, button, input, select, textarea, summary, [tabindex='0']"
    wanted = page.locator(controls).evaluate_all(
        "all => all.filter(one => one.checkVisibility() && !one.disabled && "
        "(one.type !== 'radio' || one.checked)).map((one, at) => (one.dataset.seen = at))"
    )
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.seen ?? null"))
    assert reached >= set(map(str, wanted))
    unnamed = page.locator(controls).evaluate_all(
        "all => all.filter(one => !(one.labels?.[0] ?? one).textContent.trim() && "
        "!one.getAttribute('aria-label')).map(one => one.outerHTML)"
    )
    assert unnamed == []
    ids = page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))
    assert page.locator("h1").count() == 1
    assert page.get_attribute("#said", "aria-live") == "polite"


CONTRASTS = """() => {
  const ctx = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = (colour) => {
    ctx.clearRect(0, 0, 1, 1); ctx.fillStyle = colour; ctx.fillRect(0, 0, 1, 1);
    const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = [...ctx.getImageData(0, 0, 1, 1).data].map(part);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (...two) => {
    const [low, high] = two.map(light).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const paper = getComputedStyle(document.documentElement).backgroundColor;
  const on = [".about", ".readout", ".note", ".figures dt", ".examples button", "summary"];
  const text = on.map((name) => ratio(getComputedStyle(document.querySelector(name)).color, paper));
  const cells = [...document.querySelectorAll(".cell.text")].map(getComputedStyle);
  return [...text, ...cells.map((cell) => ratio(cell.color, cell.backgroundColor))];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(visit, scheme):
    page = visit(color_scheme=scheme, reduced_motion="reduce")
    run(page)
    assert min(page.evaluate(CONTRASTS)) >= 4.5
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    before = page.evaluate(paper)
    page.click("#theme")  # light
    if scheme == "light":
        page.click("#theme")  # dark
    after = page.evaluate(paper)
    assert after != before
    page.reload()
    assert page.evaluate(paper) == after


def test_reduced_motion_shows_the_whole_answer_at_once(visit):
    page = visit(reduced_motion="reduce")
    page.click("#run")
    page.wait_for_selector("#said:has-text('Done')", state="attached")
    assert page.get_attribute("#play", "aria-label") == "Play"
    assert page.locator(".cell.mask").count() == 0


def test_the_scale_is_even_and_rises_in_lightness(visit):
    points = np.array(visit().evaluate("async () => (await import('./colours.js')).scale"))
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps.max() < 1.1 * steps.min()  # corners of the path are cut a little
    assert (np.diff(points[:, 0]) > 0).all()


def test_paper_shows_the_answer_and_no_controls(visit):
    page = visit()
    run(page)
    page.emulate_media(media="print")
    assert page.is_hidden(".transport")
    assert page.is_visible(".answer")


def test_the_page_offers_what_fits_the_model(visit, tmp_path):
    with serving(tmp_path / "log", model="tiny-ar") as other:
        page = visit(url=other.url)
        page.wait_for_function("document.querySelector('#preset').value === 'ar'")
        assert page.locator("#preset option").all_inner_texts() == ["ar"]
        page.fill("#prompt", QUESTION)
        run(page)
        assert figure(page, "perForward") == 1
