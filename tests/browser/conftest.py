"""A browser, somebody who is signed in, and an eye on what goes wrong meanwhile.

Run by `make test-browser`, which installs what is needed, once for each look of the admin.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from mastra_engine import engine

ROOT = Path(__file__).resolve().parents[2]
LOOK = settings.SETTINGS_MODULE.rpartition(".")[2]
SCREENSHOTS = ROOT / "build" / "screenshots" / LOOK
#: What Chromium is called, by system.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: In milliseconds, for a page or for what is waited for in one.
PATIENCE = 60_000
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    # Playwright runs a loop in this thread, where Django would then refuse the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, live_server: Any) -> Iterator[Any]:
    """A page in which nothing may go wrong: no error, no failing answer, no other host."""
    context = chromium.new_context(base_url=live_server.url, viewport=DESKTOP)
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    opened.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.accept()))
    opened.on("console", lambda output: wrong.extend(complaint(output)))
    opened.on("request", lambda request: wrong.extend(elsewhere(request.url, live_server.url)))
    opened.on("response", lambda answer: wrong.extend(failure(answer)))
    yield opened
    context.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def talks(transactional_db: None) -> None:
    """Twenty conversations, in one of which a rare word is said."""
    for i in range(20):
        text = "I would rather have a kumquat" if i == 7 else "Hello"
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes"}]
        engine.memory.create_thread(resource_id="ann", thread_id=f"t{i}", title=f"Talk {i}")
        engine.memory.save_memory(thread_id=f"t{i}", messages=messages)


def complaint(output: Any) -> list[str]:
    """Return what a script or the policy complained of; failing answers are looked at below."""
    grave = output.type == "error" and not output.text.startswith("Failed to load resource")
    return [f"{output.location['url']}: {output.text}"] if grave else []


def elsewhere(url: str, home: str) -> list[str]:
    existing = url.startswith(("data:", f"{home}/"))
    return [] if existing else [f"asked another host: {url}"]


def failure(answer: Any) -> list[str]:
    fine = answer.status < 400 or answer.url.endswith("/favicon.ico")  # which is the site's to have
    return [] if fine else [f"{answer.status} {answer.url}"]


@pytest.fixture
def admin(page: Any, transactional_db: None) -> Any:
    """The page, after somebody who may do everything has signed in as people do."""
    User.objects.create_superuser("owner", password="secret")
    page.goto("/admin/")
    log_in(page, "owner", "secret")
    return page


def log_in(page: Any, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    follow(page.get_by_role("button", name="Log in"))


def follow(place: Any) -> None:
    """Click what leads to another page, and go on when that is there.

    A click alone waits for no answer, and what is counted next may still be the page before.
    """
    with place.page.expect_navigation():
        place.click()
