"""The pages on the design and on engines of one's own show the layout as it is."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

import mastra_engine
from tests.docs.pages import DOCS, ROOT, code_spans, rows

PAGE = DOCS / "explanation" / "design.md"
GUIDE = DOCS / "howto" / "write-an-engine.md"
PACKAGE = Path(mastra_engine.__file__).parent
FLOORS = [row.spans(1) for row in rows(PAGE, "Floor", "Modules", "Purpose")]


def module(path: str) -> str:
    """Return the module that a path below the package names."""
    return path.removesuffix("/").removesuffix(".py").replace("/", ".")


def test_every_module_is_on_a_floor() -> None:
    names = {path.name for path in PACKAGE.glob("*.py") if path.stem != "__init__"}
    names |= {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    drawn = {re.sub(r"(?<=/).+", "", path) for floor in FLOORS for path in floor}
    assert drawn == names - {"migrations/"}


def test_the_floors_are_in_the_order_of_the_import_contract() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    layers = [c for c in tools["importlinter"]["contracts"] if c["type"] == "layers"]
    (contract,) = (c for c in layers if c["containers"] == ["mastra_engine"])
    layers = {
        name: number
        for number, layer in enumerate(contract["layers"])
        for name in layer.split(" | ")
        if not name.startswith("(")  # which need not exist
    }
    numbers = [[layers[module(path)] for path in floor] for floor in FLOORS]
    assert all(max(upper) < min(lower) for upper, lower in pairwise(numbers))
    assert {module(path) for floor in FLOORS for path in floor} == layers.keys()


@pytest.mark.parametrize(
    "path", sorted({span for span in code_spans(PAGE) if re.fullmatch(r"\w+/[\w/]*(\.py)?", span)})
)
def test_the_paths_on_the_page_exist(path: str) -> None:
    assert (PACKAGE / path).exists()


def test_the_guide_names_every_port() -> None:
    ports = rows(GUIDE, "Port", "Implement in your engine")
    for row in ports:
        (path,) = row.spans(0)
        source = (PACKAGE / path).read_text()
        assert all(re.search(rf"^class {name}\(", source, re.M) for name in row.spans(1)), path
    assert {row.spans(0)[0] for row in ports} == {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.glob("backends/base/*/store.py")
    }


def test_the_services_use_the_ones_on_the_page() -> None:
    drawn = {}
    for row in rows(PAGE, "Service", "Uses"):
        services, uses = (cell.content.replace(" ", "_") for cell in row.cells)
        for service in services.split(",_"):
            drawn[service] = set(uses.split(",_")) - {"no_other_service"}
    base = PACKAGE / "backends" / "base"
    imported = {
        room.parent.name: set(
            re.findall(
                r"^from mastra_engine\.backends\.base\.(\w+)\.",
                "".join(path.read_text() for path in room.parent.glob("*.py")),
                re.MULTILINE,
            )
        )
        - {room.parent.name}
        for room in base.glob("*/service.py")
    }
    assert imported == drawn
