"""The memory tool of Anthropic's SDK: files that Claude keeps, in agent state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from posixpath import normpath
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import sync_to_async

from mastra_engine.backends.base.paging import all_items
from mastra_engine.exceptions import InvalidInput, VersionConflict
from mastra_engine.handler import engine as default_engine
from mastra_engine.optional_deps import require
from mastra_engine.types import StateItem
from mastra_engine.validation.inputs import name
from mastra_engine.validation.jsonb import text_fault

require("anthropic_memory", "anthropic", by=__name__)
from anthropic.lib.tools import ToolError  # noqa: E402 - after the check that it is installed
from anthropic.tools.memory import (  # noqa: E402
    BetaAbstractMemoryTool,
    BetaAsyncAbstractMemoryTool,
)

if TYPE_CHECKING:
    from mastra_engine.backends.base import MastraEngine
    from mastra_engine.backends.base.state.service import State

T = TypeVar("T")
#: The segments of a path below the root, without any for the root itself.
Path = tuple[str, ...]

ROOT = "/memories"
#: A directory that no path can name, so that a path cannot leave it and come back.
_OUTSIDE = "/\0"
MAX_NAME_BYTES = 255
MAX_LINES = 999_999
#: The number of levels of a directory that a view shows.
LEVELS = 2
#: The size that a view shows for a directory: that of a file system's block.
DIRECTORY_SIZE = 4_096
_DIRECTORY = {"type": "directory"}


class EngineMemoryTool(BetaAbstractMemoryTool):
    """Claude's memory tool over the engine's state, with the answers of the SDK's local files.

    A directory is a namespace below `(resource_id, "anthropic_memory")`, and a file is an item of
    it. Each command is one transaction; one that finds that another process has changed a file
    since it was read starts again, so no edit is lost. A path cannot leave `/memories`.
    """

    def __init__(
        self, *, resource_id: str, engine: MastraEngine | None = None, cache_control: Any = None
    ) -> None:
        super().__init__(cache_control=cache_control)
        self.resource_id = name(resource_id, "/resource_id")
        self.engine = default_engine if engine is None else engine
        self._base: Path = (self.resource_id, "anthropic_memory")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(resource_id={self.resource_id!r})"

    # Commands

    def view(self, command: Any) -> str:
        """Return the lines of a file, or the files and directories in a directory."""
        path = _parsed(command.path)
        node = self._walk(path)[-1] if path else None
        if path and node is None:
            raise _missing(command.path)
        if node is None or _is_directory(node):
            return self._directory_view(path, command.path)
        return _file_view(_text(node), command)

    def create(self, command: Any) -> str:
        """Create a file, and the directories that it is in."""
        path = _parsed(command.path)

        def create() -> str:
            nodes = self._walk(path)
            if not path or nodes[-1] is not None:
                raise ToolError(f"File {command.path} already exists")
            operations = [*self._parents(path, nodes), self._put(path, _file(command.file_text), 0)]
            self._apply(operations)
            return f"File created successfully at: {command.path}"

        return _repeated(create)

    def str_replace(self, command: Any) -> str:
        """Replace a text that occurs in a file once."""
        path = _parsed(command.path)

        def replace() -> str:
            node = self._file(path, command.path)
            before = _text(node)
            at = _only_place(before, command)
            after = before.replace(command.old_str, command.new_str)
            self._apply([self._put(path, _file(after), node.version)])
            return _snippet(after, before[:at].count("\n"))

        return _repeated(replace)

    def insert(self, command: Any) -> str:
        """Insert a text after a line of a file, or before the first."""
        path = _parsed(command.path)

        def insert() -> str:
            node = self._file(path, command.path)
            after = _with_lines(_text(node), command)
            self._apply([self._put(path, _file(after), node.version)])
            return f"The file {command.path} has been edited."

        return _repeated(insert)

    def delete(self, command: Any) -> str:
        """Delete a file, or a directory with all that it holds."""
        path = _parsed(command.path)
        if not path:
            raise ToolError(f"Cannot delete the {ROOT} directory itself")

        def delete() -> str:
            node = self._walk(path)[-1]
            if node is None:
                raise ToolError(f"The path {command.path} does not exist")
            self._apply([_delete(item) for item in self._tree(path, node)])
            return f"Successfully deleted {command.path}"

        return _repeated(delete)

    def rename(self, command: Any) -> str:
        """Move a file, or a directory with all that it holds; directories are created for it."""
        old, new = _parsed(command.old_path), _parsed(command.new_path)
        if not old:
            raise ToolError(f"Cannot rename the {ROOT} directory itself")

        def rename() -> str:
            node, nodes = self._walk(old)[-1], self._walk(new)
            if not new or nodes[-1] is not None:
                raise ToolError(f"The destination {command.new_path} already exists")
            if node is None or new[: len(old)] == old:
                with suppress(ToolError):  # As with files, directories are created nonetheless.
                    self._apply(self._parents(new, nodes))
                raise _not_moved(command, node)
            parents = self._parents(new, nodes)
            moved = [*self._tree(old, node)]
            copies = [self._moved(item, old, new) for item in moved]
            self._apply([*parents, *map(_delete, moved), *copies])
            return f"Successfully renamed {command.old_path} to {command.new_path}"

        return _repeated(rename)

    def clear_all_memory(self) -> str:
        """Delete all files and directories."""

        def clear() -> str:
            self._apply([_delete(item) for item in self._below(())])
            return "All memory cleared"

        return _repeated(clear)

    # Items

    @property
    def _state(self) -> State:
        return self.engine.state

    def _place(self, path: Path) -> dict[str, Any]:
        return {"namespace": (*self._base, *path[:-1]), "key": path[-1]}

    def _put(self, path: Path, value: dict[str, Any], version: int) -> dict[str, Any]:
        """Return the operation that stores a node; its text can be searched."""
        place = self._place(path)
        if len(path[-1].encode()) > MAX_NAME_BYTES:
            raise ToolError(f"The name {path[-1]} has more than {MAX_NAME_BYTES} bytes")
        return {"op": "put", **place, "value": value, "if_version": version, "index": ["text"]}

    def _moved(self, item: StateItem, old: Path, new: Path) -> dict[str, Any]:
        path = (*item.namespace, item.key)[len(self._base) :]
        return self._put((*new, *path[len(old) :]), item.value, 0)

    def _walk(self, path: Path) -> list[StateItem | None]:
        """Return the nodes from the first directory of a path to the path itself."""
        places = [self._place(path[:depth]) for depth in range(1, len(path) + 1)]
        return self._apply([{"op": "get", **place} for place in places])

    def _file(self, path: Path, path_text: str) -> StateItem:
        """Return the item of a file; raise ToolError if it does not exist."""
        node = self._walk(path)[-1] if path else None
        if path and node is None:
            raise _missing(path_text)
        if node is None or _is_directory(node):
            raise ToolError(f"The path {path_text} is not a file.")
        return node

    def _parents(self, path: Path, nodes: Sequence[StateItem | None]) -> list[dict[str, Any]]:
        """Return the operations that create the missing directories of a path.

        The last of those that exist is written again as it is: another process that deletes
        it at the same time, with the version that it had, has to start again.
        """
        existing = [node for node in nodes[:-1] if node is not None]
        for node in existing:
            if not _is_directory(node):
                raise ToolError(f"{ROOT}/{'/'.join(path[: len(existing)])} is not a directory")
        guard = (
            [self._put(path[: len(existing)], _DIRECTORY, existing[-1].version)] if existing else []
        )
        missing = range(len(existing) + 1, len(path))
        return [*guard, *(self._put(path[:depth], _DIRECTORY, 0) for depth in missing)]

    def _tree(self, path: Path, node: StateItem) -> Iterator[StateItem]:
        yield node
        if _is_directory(node):
            yield from self._below(path)

    def _below(self, path: Path) -> Iterator[StateItem]:
        """Return all nodes below a directory."""
        return all_items(self._state.list_items, namespace_prefix=(*self._base, *path))

    def _apply(self, operations: Sequence[dict[str, Any]]) -> list[Any]:
        try:
            return self._state.batch(operations=operations)
        except InvalidInput as error:  # such as a file that is too large
            raise ToolError(f"The command is refused: {error}") from error

    # Views

    def _directory_view(self, path: Path, path_text: str) -> str:
        lines = [f"{_size(DIRECTORY_SIZE)}\t{path_text}"]
        depth = len(self._base) + len(path)
        for item in sorted(self._below(path), key=lambda item: (*item.namespace, item.key)):
            names = (*item.namespace[depth:], item.key)
            if len(names) <= LEVELS and not any(name.startswith(".") for name in names):
                size, mark = _size_and_mark(item)
                lines.append(f"{size}\t{path_text}/{'/'.join(names)}{mark}")
        header = f"Here're the files and directories up to {LEVELS} levels deep in {path_text}"
        return "\n".join([f"{header}, excluding hidden items:", *lines])


class EngineAsyncMemoryTool(BetaAsyncAbstractMemoryTool):
    """The memory tool for Anthropic's asynchronous client: see EngineMemoryTool."""

    def __init__(
        self, *, resource_id: str, engine: MastraEngine | None = None, cache_control: Any = None
    ) -> None:
        super().__init__(cache_control=cache_control)
        self.tool = EngineMemoryTool(resource_id=resource_id, engine=engine)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(resource_id={self.tool.resource_id!r})"

    async def view(self, command: Any) -> str:
        """See EngineMemoryTool.view()."""
        return await sync_to_async(self.tool.view)(command)

    async def create(self, command: Any) -> str:
        """See EngineMemoryTool.create()."""
        return await sync_to_async(self.tool.create)(command)

    async def str_replace(self, command: Any) -> str:
        """See EngineMemoryTool.str_replace()."""
        return await sync_to_async(self.tool.str_replace)(command)

    async def insert(self, command: Any) -> str:
        """See EngineMemoryTool.insert()."""
        return await sync_to_async(self.tool.insert)(command)

    async def delete(self, command: Any) -> str:
        """See EngineMemoryTool.delete()."""
        return await sync_to_async(self.tool.delete)(command)

    async def rename(self, command: Any) -> str:
        """See EngineMemoryTool.rename()."""
        return await sync_to_async(self.tool.rename)(command)

    async def clear_all_memory(self) -> str:
        """See EngineMemoryTool.clear_all_memory()."""
        return await sync_to_async(self.tool.clear_all_memory)()


def _repeated(command: Callable[[], T]) -> T:
    """Run a command until no other process changes the files between its reads and writes."""
    while True:
        with suppress(VersionConflict):
            return command()


# Paths and nodes


def _parsed(path: str) -> Path:
    """Return the segments of a path; raise ToolError if it is not below the root."""
    if not path.startswith(ROOT):
        raise ToolError(f"Path must start with {ROOT}, got: {path}")
    if (fault := text_fault(path)) is not None:
        raise ToolError(f"Path {path!r} {fault}")
    root = f"{_OUTSIDE}{ROOT}"
    resolved = normpath(f"{root}/{path.removeprefix(ROOT).lstrip('/')}")
    if resolved != root and not resolved.startswith(f"{root}/"):
        raise ToolError(f"Path {path} would escape {ROOT} directory")
    return tuple(resolved.removeprefix(root).split("/")[1:])


def _missing(path: str) -> ToolError:
    return ToolError(f"The path {path} does not exist. Please provide a valid path.")


def _not_moved(command: Any, node: StateItem | None) -> ToolError:
    if node is None:
        return ToolError(f"The path {command.old_path} does not exist")
    return ToolError(f"The path {command.old_path} cannot be moved into itself")


def _is_directory(node: StateItem) -> bool:
    return bool(node.value == _DIRECTORY)


def _file(text: str) -> dict[str, Any]:
    """Return the value of a file; text with U+0000 is kept as JSON."""
    if (fault := text_fault(text.replace("\0", ""))) is not None:
        raise ToolError(f"The text {fault}")
    return (
        {"type": "file", "json": json.dumps(text)}
        if "\0" in text
        else {"type": "file", "text": text}
    )


def _text(node: StateItem) -> str:
    value = node.value
    text: str = value["text"] if "text" in value else json.loads(value["json"])
    return text


def _delete(item: StateItem) -> dict[str, Any]:
    place = {"namespace": item.namespace, "key": item.key}
    return {"op": "delete", **place, "if_version": item.version}


# Texts


def _size_and_mark(item: StateItem) -> tuple[str, str]:
    """Return the size of a node, and the mark of a directory."""
    if _is_directory(item):
        return _size(DIRECTORY_SIZE), "/"
    return _size(len(_text(item).encode())), ""


def _size(size: int) -> str:
    unit = min((max(size, 1).bit_length() - 1) // 10, 3)
    number = size / 1024**unit
    return f"{number:.0f}{'BKMG'[unit]}" if number == int(number) else f"{number:.1f}{'BKMG'[unit]}"


def _numbered(lines: Sequence[str], first: int) -> str:
    width = len(str(MAX_LINES))
    return "\n".join(f"{number:>{width}}\t{line}" for number, line in enumerate(lines, start=first))


def _file_view(text: str, command: Any) -> str:
    lines, first = text.split("\n"), 1
    if len(lines) > MAX_LINES:
        raise ToolError(f"File {command.path} exceeds maximum line limit of {MAX_LINES:,} lines.")
    if command.view_range and len(command.view_range) == 2:
        first, last = max(1, command.view_range[0]), command.view_range[1]
        lines = lines[first - 1 : len(lines) if last == -1 else last]
    return f"Here's the content of {command.path} with line numbers:\n{_numbered(lines, first)}"


def _only_place(text: str, command: Any) -> int:
    """Return the position of the text to replace; raise ToolError unless it occurs once."""
    old = command.old_str
    occurrences = text.count(old)
    if occurrences == 0:
        raise ToolError(
            f"No replacement was performed, old_str `{old}` did not appear verbatim in "
            f"{command.path}."
        )
    if occurrences > 1:
        lines = ", ".join(str(text[:at].count("\n") + 1) for at in _places(text, old))
        raise ToolError(
            f"No replacement was performed. Multiple occurrences of old_str `{old}` in lines: "
            f"{lines}. Please ensure it is unique"
        )
    return text.find(old)


def _places(text: str, part: str) -> Iterator[int]:
    """Yield the positions of a part, of those that overlap too."""
    at = text.find(part)
    while at != -1:
        yield at
        at = text.find(part, at + 1)


def _snippet(text: str, line: int) -> str:
    """Return the lines around a changed one, which is counted from 0."""
    first = max(0, line - 2)
    lines = _numbered(text.split("\n")[first : line + 3], first + 1)
    return (
        "The memory file has been edited. Here is the snippet showing the change "
        f"(with line numbers):\n{lines}"
    )


def _with_lines(text: str, command: Any) -> str:
    """Return a text with another one after a line; raise ToolError if there is no such line."""
    lines = text.removesuffix("\n").split("\n") if text else []
    if not 0 <= command.insert_line <= len(lines):
        raise ToolError(
            f"Invalid `insert_line` parameter: {command.insert_line}. It should be within the "
            f"range [0, {len(lines)}]."
        )
    lines.insert(command.insert_line, command.insert_text.rstrip("\n"))
    joined = "\n".join(lines)
    return joined if joined.endswith("\n") else f"{joined}\n"
