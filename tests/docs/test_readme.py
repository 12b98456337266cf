"""The README renders on PyPI: its links and pictures are absolute and lead to files that exist."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from hatchling.build import prepare_metadata_for_build_wheel
from markdown_it import MarkdownIt

from mastra_engine import MockMastraEngine
from mastra_engine.embedders import WordLlamaEmbedder
from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]

#: Where a file of the repository is served: as a page, or as it is, which pictures need.
PAGE = f"{REPOSITORY}/blob/main/"
RAW = f"{REPOSITORY.replace('//github.com/', '//raw.githubusercontent.com/')}/main/"


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Message:
    """Return the metadata that the wheel would carry, as PyPI reads it."""
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # which is where a build frontend calls its backend
        info = prepare_metadata_for_build_wheel(str(folder))
    return message_from_bytes((folder / info / "METADATA").read_bytes())


def description(metadata: Message) -> str:
    payload = metadata.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def urls(markdown: str, kind: str, attribute: str) -> list[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    children = [child for token in tokens for child in token.children or []]
    return [str(child.attrs[attribute]) for child in children if child.type == kind]


def problems(markdown: str) -> list[str]:
    """Return the links and pictures that would be broken on PyPI."""
    broken = []
    for kind, attribute, base in (("link_open", "href", PAGE), ("image", "src", RAW)):
        for url in urls(markdown, kind, attribute):
            if url.startswith(base):
                target = ROOT / Path(url.removeprefix(base).partition("#")[0])
                broken += [] if target.is_file() else [f"{url}: no such file"]
            elif not url.startswith("https://") or url.startswith(REPOSITORY) or kind == "image":
                broken.append(f"{url}: is not below {base}")
    return broken


def test_the_sample_search_finds_the_answer_among_thousands_of_texts() -> None:
    """Its other texts are documentation of Python's library, about anything but refunds."""
    sample = (ROOT / "README.md").read_text().partition("## Search by meaning")[2]
    question = re.findall(r'query_text="(.+?)"', sample)[0]
    expected = re.findall(r"```text\n(.+?) \{", sample)[0]
    engine = MockMastraEngine(url="mock://readme", embedder=WordLlamaEmbedder())
    engine.vectors.create_index(index_name="docs", dimension=256)
    engine.vectors.upsert(index_name="docs", documents=docstrings())
    engine.vectors.upsert(
        index_name="docs", documents=re.findall(r'documents=\["(.+?)", "(.+?)"\]', sample)[0]
    )
    search = {"index_name": "docs", "query_text": question, "hybrid": True, "top_k": 1}
    least = float(re.findall(r"min_score=([\d.]+)", sample)[0])
    (best,) = engine.vectors.query(**search, min_score=least)
    assert best.document == expected


def docstrings() -> list[str]:
    """Return the docstrings of the modules of Python's library, thousands of them."""
    texts = set()
    for module in Path(os.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                texts.add((ast.get_docstring(node) or "")[:1_000])
    assert len(texts) > 2_000
    return sorted(texts - {""})


def test_the_wheel_carries_the_readme(metadata: Message) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert description(metadata).strip() == (ROOT / "README.md").read_text().strip()


def test_links_and_pictures_work_on_pypi(metadata: Message) -> None:
    readme = description(metadata)
    assert urls(readme, "link_open", "href")
    assert urls(readme, "image", "src")
    assert problems(readme) == []


def test_the_wheel_names_the_projects_urls(metadata: Message) -> None:
    listed = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL", []))
    assert listed == PROJECT["urls"]
    for url in listed.values():
        assert not url.startswith(PAGE) or (ROOT / url.removeprefix(PAGE)).is_file()


@pytest.mark.parametrize(
    "markdown",
    [
        "[design](docs/explanation/design.md)",
        f"[design]({PAGE}docs/no-such-page.md)",
        "![chat](docs/images/chat.png)",
        f"![chat]({PAGE}docs/images/chat.png)",
        f"![chat]({RAW}docs/images/no-such-picture.png)",
    ],
)
def test_a_broken_link_is_noticed(markdown: str) -> None:
    assert len(problems(markdown)) == 1
