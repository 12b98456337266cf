"""Sessions of the OpenAI Agents SDK, stored as threads of the engine's memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mastra_engine.backends.base.memory.limits import checked_messages
from mastra_engine.backends.base.paging import PAGE
from mastra_engine.conversations.parts import text_of
from mastra_engine.conversations.tokens import estimate
from mastra_engine.exceptions import InvalidInput, ThreadNotFound
from mastra_engine.handler import engine as default_engine
from mastra_engine.optional_deps import require
from mastra_engine.types import ContentPart, Message, MessageInput
from mastra_engine.validation.inputs import name
from mastra_engine.validation.jsonb import MAX_DEPTH, loads

if TYPE_CHECKING:
    from agents.items import TResponseInputItem
    from agents.memory import SessionSettings

    from mastra_engine.backends.base import MastraEngine
    from mastra_engine.backends.base.memory.service import Memory

require("openai_agents", "agents", by=__name__)

#: The key of a message's metadata that tells how its item is restored.
METADATA_KEY = "openai_agents"
#: The key of the part that holds an item as JSON text, and the type of a part with nothing else.
JSON_KEY, JSON_TYPE = "openai_agents_json", "openai-agents-item"
Item = dict[str, Any]
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


class EngineSession:
    """A conversation of the OpenAI Agents SDK, stored as a thread of the engine's memory.

    It implements the SDK's protocol `Session`. Each item is one message with a role, text and tool
    calls that the engine understands, and comes back as it was added. The thread has the id of the
    session and belongs to `resource_id`; it is created with the first item. A session never reads
    or changes a thread of another resource.
    """

    def __init__(
        self,
        session_id: str,
        *,
        resource_id: str,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        engine: MastraEngine | None = None,
    ) -> None:
        from agents.memory.session_settings import SessionSettings, coerce_session_settings

        self.session_id = name(session_id, "/session_id")
        self.resource_id = name(resource_id, "/resource_id")
        self.session_settings: SessionSettings | None = (
            SessionSettings()
            if session_settings is None
            else coerce_session_settings(session_settings)
        )
        self.engine = default_engine if engine is None else engine

    def __repr__(self) -> str:
        return f"EngineSession({self.session_id!r}, resource_id={self.resource_id!r})"

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the newest `limit` items, the oldest of them first.

        Without `limit`, that of `session_settings` holds; without both, or below zero, all items
        are returned.
        """
        from agents.memory.session_settings import resolve_session_limit

        most = resolve_session_limit(limit, self.session_settings)
        newest = await self._newest(most if most is None or most >= 0 else None)
        return [item for _, item in reversed(newest)]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append items, all or none.

        Raises InvalidInput for an item that is not JSON or has over 64 MiB, and ThreadNotFound if
        the session's id is that of another resource's thread.
        """
        messages = [_message(item, position) for position, item in enumerate(items)]
        if messages:
            await self._memory.asave_memory(
                thread_id=self.session_id, resource_id=self.resource_id, messages=messages
            )

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the newest item and return it, or None if the session is empty."""
        while newest := await self._newest(1):
            ((message, item),) = newest
            # Another process may have removed it since. Only one deletion counts the message.
            if await self._memory.adelete_messages(ids=[message.id]):
                return item
        return None

    async def clear_session(self) -> None:
        """Delete the thread with all that belongs to it."""
        try:
            await self._memory.adelete_thread(thread_id=self.session_id)
        except ThreadNotFound:
            return

    @property
    def _memory(self) -> Memory:
        return self.engine.memory.within(resource_ids=[self.resource_id])

    async def _newest(self, most: int | None) -> list[tuple[Message, Any]]:
        """Return the newest messages with their items, the newest first; None returns all."""
        newest: list[tuple[Message, Any]] = []
        cursor = None
        while most is None or len(newest) < most:
            limit = PAGE if most is None else min(most - len(newest), PAGE)
            try:
                page = await self._memory.alist_messages(
                    thread_id=self.session_id, order="desc", limit=limit, cursor=cursor
                )
            except ThreadNotFound:
                break
            newest += [(message, item) for message in page if (item := _item(message)) is not None]
            if (cursor := page.next_cursor) is None:
                break
        return newest


# Items and messages


def _message(added: Any, position: int) -> MessageInput:
    """Return an item as a message; raise InvalidInput for values that are not JSON objects."""
    path = f"/items/{position}"
    try:
        text = json.dumps(added)
        item = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"is not JSON: {error}", path=path) from error
    if not isinstance(item, dict):
        raise InvalidInput(f"must be an object, not {type(added).__name__}", path=path)
    written = _written(item)
    for message in _candidates(item, text):
        try:
            (checked,) = checked_messages([message], estimate, path="items", start=position)
        except InvalidInput as error:
            invalid = error
        else:
            if _written(_restored(loads(checked.content), message.metadata or {})) == written:
                return message
    raise invalid  # The last candidate is refused for its size only.


def _candidates(item: Item, text: str) -> Iterator[MessageInput]:
    """Yield the messages that an item could be stored as, the most readable first.

    The JSON of the item itself comes first. If `jsonb` would refuse or change it, as it does
    U+0000 and integers beyond 64 bits, it is stored as text beside the parts that can be shown.
    """
    role, (form, content, keys) = _role(item), _parts(item)
    yield MessageInput(role, content, metadata={METADATA_KEY: {"form": form, **keys}})
    as_text = {METADATA_KEY: {"form": "json"}}
    _, content, _ = _parts(_storable(item))
    if content and isinstance(content[0], dict):
        yield MessageInput(role, [{**content[0], JSON_KEY: text}, *content[1:]], metadata=as_text)
    yield MessageInput(role, [{"type": JSON_TYPE, JSON_KEY: text}], metadata=as_text)


def _parts(item: Item) -> tuple[str, list[Any], Item]:
    """Return the form of an item's message, its parts, and the keys that the parts do not hold."""
    content = item.get("content")
    if _is_message(item) and isinstance(content, str | list):
        keys = {"keys": {key: value for key, value in item.items() if key != "content"}}
        if isinstance(content, str):
            return "text", [{"type": "text", "text": content}], keys
        return "parts", content, keys
    return "item", [item], {}


def _is_message(item: Item) -> bool:
    return isinstance(item.get("role"), str) and item["role"] in _ROLES


def _role(item: Item) -> str:
    """Return the role of an item's message; items other than messages have a type instead."""
    if _is_message(item):
        return _ROLES[item["role"]]
    type = str(item.get("type"))
    if type == "mcp_approval_response":
        return "user"
    return "tool" if type.endswith("_output") else "assistant"


def _item(message: Message) -> Item | None:
    """Return the item of a message.

    A message that the session did not add is an item with its role and text, or None without text.
    """
    if METADATA_KEY in message.metadata:
        return _restored(message.content, message.metadata)
    text = text_of(message.content)
    return {"role": message.role, "content": text} if text and message.role != "tool" else None


def _restored(content: list[ContentPart], metadata: Mapping[str, Any]) -> Item:
    """Return the item of a message that the session added."""
    stored = metadata[METADATA_KEY]
    match stored["form"]:
        case "text":
            return {**stored["keys"], "content": content[0]["text"]}
        case "parts":
            return {**stored["keys"], "content": content}
        case "item":
            return content[0]
    restored: Item = json.loads(content[0][JSON_KEY])
    return restored


def _storable(value: Any, depth: int = 0) -> Any:
    """Return JSON with U+FFFD for characters that PostgreSQL cannot store, None where too deep."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {_storable(key): _storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    return value


def _written(value: Any) -> str:
    """Return JSON text that differs for numbers which Python compares as equal."""
    return json.dumps(value, sort_keys=True)
