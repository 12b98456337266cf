"""The answers to requests, without a session: this module calls the tools and reads the resources.

The official SDK validates results, for each revision of the protocol.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError
from mcp import types
from mcp.shared.exceptions import MCPError
from mcp.types import methods
from mcp.types.version import LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

import mastra_engine
from mastra_engine.api.errors import STATUS, public_message
from mastra_engine.api.renderers import dumps
from mastra_engine.exceptions import EngineError, InvalidInput, NotFound, Unavailable
from mastra_engine.mcp.callers import Caller
from mastra_engine.mcp.messages import (
    HANDSHAKE_VERSIONS,
    VERSIONS,
    Answer,
    ClientRequest,
    failure,
    no_method,
    printable,
)
from mastra_engine.mcp.resources import JSON, TEMPLATES, list_resources
from mastra_engine.mcp.schemas import definition
from mastra_engine.mcp.tools import TOOLS, list_threads

logger = logging.getLogger("mastra_engine.mcp")

#: Errors that concern the caller. Others, such as those of the settings, are logged only.
_ERRORS = tuple(STATUS)
#: The error code of the revisions with a handshake; later ones use that of invalid parameters.
RESOURCE_NOT_FOUND = -32002

INSTRUCTIONS = (
    "Memory of conversations, synced records and vector indexes of one application. "
    "resource_id, connection_id and namespace are the caller's own unless they are given."
)
_IMPLEMENTATION = types.Implementation(
    name="mastra_engine", title="Mastra Engine", version=mastra_engine.__version__
)
_SERVER_INFO = _IMPLEMENTATION.model_dump(mode="json", by_alias=True, exclude_none=True)
_CAPABILITIES = types.ServerCapabilities(
    tools=types.ToolsCapability(list_changed=False),
    resources=types.ResourcesCapability(subscribe=False, list_changed=False),
)


class Server:
    """Answers the requests of one user."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def answer(self, request: ClientRequest) -> Answer:
        """Return the answer to a request."""
        try:
            result = self._result(request)
        except MCPError as error:
            return request.failure(error)
        except (OperationalError, InterfaceError):  # of the project's own tables
            text = Unavailable.default_message
            return failure(types.INTERNAL_ERROR, text, id=request.id)
        except Exception:
            logger.exception("A message of the method %.80r failed", request.method)
            return failure(types.INTERNAL_ERROR, "Internal server error", id=request.id)
        return Answer(types.JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result))

    def _result(self, request: ClientRequest) -> dict[str, Any]:
        if request.method not in _METHODS:
            raise no_method(request.method)
        result = _METHODS[request.method](self, request.params, request.version)
        dumped = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        written: dict[str, Any] = methods.serialize_server_result(
            request.method, request.version, dumped
        )
        if request.version in MODERN_PROTOCOL_VERSIONS:
            written["_meta"] = {types.SERVER_INFO_META_KEY: _SERVER_INFO}
        return written

    def _initialize(self, params: Any, _: str) -> types.Result:
        requested = params.protocol_version
        is_supported = requested in HANDSHAKE_VERSIONS
        return types.InitializeResult(
            protocol_version=requested if is_supported else LATEST_HANDSHAKE_VERSION,
            capabilities=_CAPABILITIES,
            server_info=_IMPLEMENTATION,
            instructions=INSTRUCTIONS,
        )

    def _discover(self, *_: Any) -> types.Result:
        return types.DiscoverResult(
            supported_versions=list(VERSIONS),
            capabilities=_CAPABILITIES,
            instructions=INSTRUCTIONS,
        )

    def _ping(self, *_: Any) -> types.Result:
        return types.EmptyResult()

    def _list_tools(self, params: Any, _: str) -> types.Result:
        _refuse_cursor(params)
        return types.ListToolsResult(
            tools=[
                definition(tool)
                for tool in TOOLS.values()
                if Caller.with_permissions(self.request, tool.permissions) is not None
            ]
        )

    def _call_tool(self, params: Any, _: str) -> types.Result:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {printable(params.name)}")
        caller = Caller.with_permissions(self.request, tool.permissions)
        if caller is None:
            return _tool_error(f"You do not have permission to use the tool {tool.name}")
        try:
            value = dumps(tool.call(caller, params.arguments or {}))
        except _ERRORS as error:
            return _tool_error(public_message(error))
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=value.decode())],
            structured_content=json.loads(value),
        )

    def _list_resources(self, params: Any, _: str) -> types.Result:
        caller = Caller.with_permissions(self.request, list_threads.permissions)
        if caller is None:
            return types.ListResourcesResult(resources=[])
        try:
            return list_resources(caller, params and params.cursor)
        except _ERRORS as error:
            raise _resource_error(error) from error

    def _list_templates(self, params: Any, _: str) -> types.Result:
        _refuse_cursor(params)
        return types.ListResourceTemplatesResult(
            resource_templates=[template.definition() for template in TEMPLATES]
        )

    def _read_resource(self, params: Any, version: str) -> types.Result:
        uri = str(params.uri)
        try:
            value = self._resource(uri)
        except NotFound:
            has_own_code = version in HANDSHAKE_VERSIONS
            code = RESOURCE_NOT_FOUND if has_own_code else types.INVALID_PARAMS
            text = "Resource not found"
            raise MCPError(code, text, data={"uri": printable(uri)}) from None
        except _ERRORS as error:
            raise _resource_error(error) from error
        contents = types.TextResourceContents(uri=uri, mime_type=JSON, text=dumps(value).decode())
        return types.ReadResourceResult(contents=[contents])

    def _resource(self, uri: str) -> Any:
        """Return the value of a resource; raises NotFound, also without a permission to read it."""
        for template in TEMPLATES:
            arguments = template.uri.match(uri)
            if arguments is not None:
                caller = Caller.with_permissions(self.request, template.reader.permissions)
                if caller is not None:
                    return template.reader.call(caller, arguments)
        raise NotFound


_METHODS: dict[str, Callable[[Server, Any, str], types.Result]] = {
    "initialize": Server._initialize,
    "server/discover": Server._discover,
    "ping": Server._ping,
    "tools/list": Server._list_tools,
    "tools/call": Server._call_tool,
    "resources/list": Server._list_resources,
    "resources/templates/list": Server._list_templates,
    "resources/read": Server._read_resource,
}


def _refuse_cursor(params: Any) -> None:
    """Raise MCPError for a cursor: these lists have one page, so no client received one."""
    if params is not None and params.cursor is not None:
        raise MCPError(types.INVALID_PARAMS, "/cursor: is not a cursor of this list")


def _resource_error(error: EngineError) -> MCPError:
    code = types.INVALID_PARAMS if isinstance(error, InvalidInput) else types.INTERNAL_ERROR
    return MCPError(code, public_message(error))


def _tool_error(text: str) -> types.CallToolResult:
    content = types.TextContent(type="text", text=text)
    return types.CallToolResult(content=[content], is_error=True)
