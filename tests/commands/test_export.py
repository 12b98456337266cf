"""engine_export: everything of a resource as JSON Lines."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mastra_engine import engine

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> None:
    engine.memory.create_thread(resource_id="ann", thread_id="t", title="Über Ann")
    engine.memory.save_memory(thread_id="t", messages=[{"role": "user", "content": "Hi"}])


def test_lines_are_printed(ann: None) -> None:
    output = StringIO()
    call_command("engine_export", "--resource", "ann", stdout=output)
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [line["kind"] for line in lines] == ["thread", "message"]
    assert lines[0]["title"] == "Über Ann"


def test_a_new_file_is_written_and_none_is_overwritten(ann: None, tmp_path: Path) -> None:
    file, output = tmp_path / "ann.jsonl", StringIO()
    arguments = ("engine_export", "--resource", "ann", "--output", str(file))
    call_command(*arguments, stdout=output)
    assert output.getvalue() == f"Written to {file}\n"
    assert len(file.read_text().splitlines()) == 2
    with pytest.raises(CommandError, match="File exists"):
        call_command(*arguments)


def test_an_empty_id_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="resource_id"):
        call_command("engine_export", "--resource", "")
