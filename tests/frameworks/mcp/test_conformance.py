"""The server passes the published suite, `@modelcontextprotocol/conformance`, where it applies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frameworks.mcp.conftest import MODULES, output_of
from tests.mcp.data import Owner
from tests.served.servers import COMMANDS, served

#: It also fails if a scenario in this file passes.
BASELINE = Path(__file__).with_name("expected_failures.yml")
PASSED = {
    "server-initialize": 1,
    "ping": 1,
    "tools-list": 1,
    "tools-call-simple-text": 1,
    "tools-call-error": 1,
    "tools-call-with-progress": 1,
    "resources-list": 1,
    "resources-read-text": 1,
    "resources-templates-read": 1,
    "dns-rebinding-protection": 2,
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("server", COMMANDS)
def test_every_scenario_passes_that_applies(server: str, ann: Owner, tmp_path: Path) -> None:
    (node,) = MODULES.glob("node-*/bin/node")  # 22, which the suite needs
    suite = [MODULES / ".bin" / "conformance", "server", "--suite", "all"]
    with served(server, tmp_path, "tests.frameworks.mcp.suite_settings") as running:
        url = ["--url", f"{running.address}/mcp/"]
        report = output_of(node, *suite, *url, "--expected-failures", BASELINE)
        assert "Traceback" not in running.said()
    for scenario, checks in PASSED.items():
        assert f"✓ {scenario}: {checks} passed, 0 failed" in report
