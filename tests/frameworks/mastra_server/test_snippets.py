"""The code of the page about the client does what it shows."""

from __future__ import annotations

from pytest_django.live_server_helper import LiveServer

from tests.docs.pages import DOCS, steps
from tests.frameworks.mastra_server.test_client import MODULES, run_node, user

PAGE = DOCS / "howto" / "use-from-typescript-with-mastra.md"
ADDRESS = "http://127.0.0.1:8000"


def test_the_page_does_what_it_shows(live_server: LiveServer) -> None:
    ann, staff = user("ann"), user("staff", is_staff=True, is_superuser=True)
    blocks = list(steps(PAGE, "ts"))
    script = MODULES.parent / "page.mjs"
    script.write_text(
        "\n".join(block.text for block, _ in blocks).replace(ADDRESS, live_server.url)
    )
    tokens = {"TOKEN": ann["token"], "STAFF_TOKEN": staff["token"], "USER_ID": ann["resource"]}
    assert run_node(script, **tokens) == "".join(output for _, output in blocks)
