"""The page in a browser: how to start one, what a visitor does, and what is read there."""

from __future__ import annotations

import re
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run", "--disable-quic",
]  # fmt: skip
PATIENCE = 120_000
"""Milliseconds until something that has to happen counts as failed."""
DESKTOP = {"width": 1280, "height": 900}


def browser_path():
    return next(filter(None, map(shutil.which, NAMES)), None)


def run(page):
    page.click("#run")
    page.wait_for_selector("#stage[aria-busy=false]")
    to(page, "End")


def to(page, key, times=1):
    page.focus("#scrub")
    for _ in range(times):
        page.keyboard.press(key)


def labels(page, panel=0):
    cells = page.locator(".panel").nth(panel).locator(".cell")
    return cells.evaluate_all("cells => cells.map(cell => cell.getAttribute('aria-label'))")


def text_of(page, panel=0):
    found = [re.search("“(.*)”", label, re.DOTALL) for label in labels(page, panel)]
    return "".join(match[1] for match in found if match)


def births(page):
    found = [re.search(r"written in forward (\d+)", label) for label in labels(page)]
    return [int(match[1]) if match else -1 for match in found]


def figure(page, name, panel=0):
    shown = page.locator(f"[data-figure={name}]").nth(panel).inner_text()
    return float(shown.replace(",", ""))


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")
