"""Looking at a page as its readers do: in the light, in the dark, on a phone, without eyes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.browser.conftest import DESKTOP, LOOK, PHONE, SCREENSHOTS

AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"
SEVERE = ("serious", "critical")
#: Ending a fade can begin another, of what inherits the colour.
SETTLE = """
for (let faded = 0; faded < 100 && document.getAnimations().length; faded++)
    for (const fade of document.getAnimations())
        fade.effect.getComputedTiming().endTime === Infinity ? fade.cancel() : fade.finish();
"""
#: Of Django's own field for searching lists: axe sees no text in its label, which is a picture.
DJANGOS = {"label-title-only": {"enabled": False}}


def look(page: Any, name: str, *, within: str = "body") -> list[str]:
    """Keep pictures of a page and return what is severely wrong for some reader.

    `within` is the part of the page that is judged.
    """
    faults = []
    for scheme in ("light", "dark"):
        shine(page, scheme)
        keep(page, f"{name}-{scheme}")
        if LOOK == "stock" or scheme == "light":  # Unfold in the dark is not judged yet
            faults += [f"{name}, {scheme}: {fault}" for fault in inaccessible(page, within)]
    shine(page, "light")
    page.set_viewport_size(PHONE)
    keep(page, f"{name}-phone")
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        faults.append(f"{name}: wider than a phone")
    page.set_viewport_size(DESKTOP)
    return faults


def shine(page: Any, scheme: str) -> None:
    """Have it light or dark, and at once.

    Nobody waits for colours to fade: a browser in which nothing is drawn may never end it.
    """
    page.emulate_media(color_scheme=scheme)
    if LOOK == "unfold":  # which asks for the scheme when a page is loaded, and has a switch
        page.evaluate(f"document.documentElement.classList.toggle('dark', {scheme == 'dark':d})")
    page.evaluate(SETTLE)


def until(page: Any, condition: str) -> None:
    """Wait until a script says so; Playwright's own wait evaluates text, which is forbidden."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"It is never true that {condition}")


def keep(page: Any, name: str) -> None:
    """Keep a picture for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=False)


def inaccessible(page: Any, within: str) -> list[str]:
    """Return what axe finds to be a serious barrier."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate(
        "([part, rules]) => axe.run(part, {resultTypes: ['violations'], rules})", [within, DJANGOS]
    )
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in SEVERE
        for node in violation["nodes"][:3]
    ]
