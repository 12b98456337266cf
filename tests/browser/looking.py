"""Checking a page in light and dark, on a phone, and for screen readers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.browser.conftest import DESKTOP, LOOK, PATIENCE, PHONE, SCREENSHOTS

AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"
SEVERE = ("serious", "critical")
#: What axe says, at last; a promise that is never kept would be waited for without end.
JUDGE = """
([part, options]) => Promise.race([
    axe.run(part, options),
    new Promise((_, fail) => setTimeout(() => fail(new Error("axe takes too long")), 60_000)),
])
"""
#: Rows that are like those above them are not judged again.
PART = {
    "include": ["body"],
    "exclude": ["tbody tr:nth-child(n+9)", ".me-messages > li:nth-child(n+9)"],
}
#: What can be wrong in the dark and right in the light.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
#: Ending a fade can begin another, of what inherits the colour.
SETTLE = """
for (let faded = 0; faded < 100 && document.getAnimations().length; faded++)
    for (const fade of document.getAnimations())
        fade.effect.getComputedTiming().endTime === Infinity ? fade.cancel() : fade.finish();
"""
#: Of Django's own field for searching lists: axe sees no text in its label, which is a picture.
DJANGOS = {"label-title-only": {"enabled": False}}


def look(page: Any, name: str) -> list[str]:
    """Save screenshots of a page, and return its serious accessibility violations."""
    faults = []
    for scheme in ("dark", "light"):
        shine(page, scheme)
        keep(page, f"{name}-{scheme}")
        rules = None if scheme == "light" else OF_COLOURS
        faults += [f"{name}, {scheme}: {fault}" for fault in inaccessible(page, rules)]
    return faults + look_by_phone(page, name)


def look_by_phone(page: Any, name: str) -> list[str]:
    """Save a screenshot of a page on a phone, and report a page that is wider than the screen."""
    page.set_viewport_size(PHONE)
    keep(page, f"{name}-phone")
    wider = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    page.set_viewport_size(DESKTOP)
    return [f"{name}: wider than a phone"] if wider else []


def shine(page: Any, scheme: str) -> None:
    """Have it light or dark, and at once.

    Nobody waits for colours to fade: a browser in which nothing is drawn may never end it.
    """
    page.emulate_media(color_scheme=scheme)
    if LOOK == "unfold":  # which asks for the scheme when a page is loaded, and has a switch
        page.evaluate(f"document.documentElement.classList.toggle('dark', {scheme == 'dark':d})")
    page.evaluate(SETTLE)


def until(page: Any, condition: str) -> None:
    """Wait until a script returns true; the policy forbids Playwright's own wait."""
    for _ in range(PATIENCE // 50):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"It is never true that {condition}")


def keep(page: Any, name: str) -> None:
    """Save a screenshot."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=False)


def inaccessible(page: Any, rules: list[str] | None) -> list[str]:
    """Return the serious violations that axe finds, by the named rules or by all."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    options = {"resultTypes": ["violations"], "rules": DJANGOS, "preload": False}
    if rules:
        options["runOnly"] = rules
    matches = page.evaluate(JUDGE, [PART, options])
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in matches["violations"]
        if violation["impact"] in SEVERE
        for node in violation["nodes"][:3]
    ]
