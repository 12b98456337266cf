"""The protocol: the answer to one message, without a session.

The official SDK validates messages and results, for each revision of the protocol. This module
chooses the revision, calls the tools and reads the resources.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError
from mcp import types
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    unsupported_protocol_version_rejection,
)
from mcp.types import methods
from mcp.types.version import LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

import mastra_engine
from mastra_engine.api.errors import STATUS, public_message
from mastra_engine.api.renderers import dumps
from mastra_engine.exceptions import EngineError, InvalidInput, NotFound, Unavailable
from mastra_engine.mcp.callers import Caller
from mastra_engine.mcp.resources import JSON, TEMPLATES, list_resources
from mastra_engine.mcp.schemas import definition
from mastra_engine.mcp.tools import TOOLS, list_threads

logger = logging.getLogger("mastra_engine.mcp")

#: Revisions with a handshake; a request without a version is taken to be of the first.
HANDSHAKE_VERSIONS = ("2025-06-18", "2025-11-25")
VERSIONS = (*HANDSHAKE_VERSIONS, *MODERN_PROTOCOL_VERSIONS)
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


@dataclass(frozen=True)
class Answer:
    """A message for the client, with the status of its HTTP response; None if none is due."""

    message: types.JSONRPCResponse | types.JSONRPCError | None
    status: int = 200

    def dumps(self) -> bytes:
        """Return the message as JSON in ASCII, which escapes lone surrogates of a client's id."""
        assert self.message is not None
        message = self.message.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps({"id": None, **message}, separators=(",", ":")).encode()


def failure(code: int, text: str, *, id: Any = None, data: Any = None, status: int = 200) -> Answer:
    """Return the answer that tells of an error."""
    error = types.ErrorData(code=code, message=text, data=data)
    return Answer(types.JSONRPCError(jsonrpc="2.0", id=id, error=error), status)


class Server:
    """Answers the messages of one request's user."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def answer(self, message: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a message; `headers`, in lower case, are those of HTTP if any."""
        is_notification = isinstance(message, dict) and "id" not in message
        kind = types.JSONRPCNotification if is_notification else types.JSONRPCRequest
        try:
            parsed = kind.model_validate(message)
        except ValidationError:
            text = "The body must be one JSON-RPC request or notification; there are no batches"
            return failure(types.INVALID_REQUEST, text, status=400)
        id = getattr(parsed, "id", None)
        try:
            version = _version(message, headers)
        except MCPError as error:
            return failure(error.code, error.message, id=id, data=error.data, status=400)
        if isinstance(parsed, types.JSONRPCNotification):
            return Answer(None, 202)
        return self._answer(parsed, version)

    def _answer(self, request: types.JSONRPCRequest, version: str) -> Answer:
        status = ERROR_CODE_HTTP_STATUS if version in MODERN_PROTOCOL_VERSIONS else {}
        try:
            result = self._result(request.method, version, request.params)
        except MCPError as error:
            return failure(
                error.code,
                error.message,
                id=request.id,
                data=error.data,
                status=status.get(error.code, 200),
            )
        except (OperationalError, InterfaceError):  # of the project's own tables
            text = Unavailable.default_message
            return failure(types.INTERNAL_ERROR, text, id=request.id)
        except Exception:
            logger.exception("A message of the method %.80r failed", request.method)
            return failure(types.INTERNAL_ERROR, "Internal server error", id=request.id)
        return Answer(types.JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result))

    def _result(self, method: str, version: str, params: dict[str, Any] | None) -> dict[str, Any]:
        try:
            request = methods.parse_client_request(method, version, params)
        except KeyError:
            raise _no_method(method) from None
        except ValidationError as error:
            raise MCPError(types.INVALID_PARAMS, _reason(error)) from None
        if method not in _METHODS:
            raise _no_method(method)
        result = _METHODS[method](self, request.params, version)
        dumped = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        written: dict[str, Any] = methods.serialize_server_result(method, version, dumped)
        if version in MODERN_PROTOCOL_VERSIONS:
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
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {_printable(params.name)}")
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
            raise MCPError(code, text, data={"uri": _printable(uri)}) from None
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


def _version(message: dict[str, Any], headers: Mapping[str, str] | None) -> str:
    """Return the revision of the protocol that a message is of; raises MCPError."""
    claimed = None if headers is None else headers.get(MCP_PROTOCOL_VERSION_HEADER)
    if "id" in message and (claimed in MODERN_PROTOCOL_VERSIONS or _has_envelope(message)):
        verdict = classify_inbound_request(message, headers=headers)
        if isinstance(verdict, InboundLadderRejection):
            raise MCPError(verdict.code, verdict.message, verdict.data)
        return str(verdict.protocol_version)
    if claimed is not None:
        rejection = unsupported_protocol_version_rejection(claimed, VERSIONS)
        if rejection is not None:
            raise MCPError(rejection.code, rejection.message, rejection.data)
    return claimed or HANDSHAKE_VERSIONS[0]


def _has_envelope(message: dict[str, Any]) -> bool:
    """Return whether a request states its revision itself, as those without a handshake do."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return isinstance(meta, dict) and types.PROTOCOL_VERSION_META_KEY in meta


def _reason(error: ValidationError) -> str:
    """Return where and how parameters are not valid, without their values."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "/".join(map(str, first["loc"]))
    return _printable(f"Invalid parameters: {place}: {first['msg']}")


def _no_method(method: str) -> MCPError:
    return MCPError(types.METHOD_NOT_FOUND, "Method not found", data=_printable(method))


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


def _printable(text: str) -> str:
    return text[:200].encode("utf-8", "backslashreplace").decode()
