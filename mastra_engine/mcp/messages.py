"""The messages of the protocol: parsing those of clients, and writing those of the server.

The official SDK validates messages, for each revision of the protocol; this module chooses the
revision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp import types
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    unsupported_protocol_version_rejection,
)
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.types import methods
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

#: Revisions with a handshake; a request without a version is taken to be of the first.
HANDSHAKE_VERSIONS = ("2025-06-18", "2025-11-25")
VERSIONS = (*HANDSHAKE_VERSIONS, *MODERN_PROTOCOL_VERSIONS)


@dataclass(frozen=True)
class Answer:
    """A message for the client, with the status of its HTTP response."""

    message: types.JSONRPCResponse | types.JSONRPCError | types.JSONRPCNotification
    status: int = 200

    def dumps(self) -> bytes:
        """Return the message as JSON in ASCII, which escapes lone surrogates of a client's id."""
        message = self.message.model_dump(mode="json", by_alias=True, exclude_none=True)
        if isinstance(self.message, types.JSONRPCError):
            message = {"id": None, **message}
        return json.dumps(message, separators=(",", ":")).encode()


@dataclass(frozen=True)
class ClientRequest:
    """A request that is valid in its revision of the protocol."""

    id: types.RequestId
    method: str
    version: str
    params: Any
    #: Under which the client is told that a tool is still at work; None if it did not ask for it.
    progress_token: types.ProgressToken | None

    def failure(self, error: MCPError) -> Answer:
        """Return the answer that tells of an error."""
        return _failure_of(error, self.id, self.version)


def failure(code: int, text: str, *, id: Any = None, data: Any = None, status: int = 200) -> Answer:
    """Return the answer that tells of an error."""
    error = types.ErrorData(code=code, message=text, data=data)
    return Answer(types.JSONRPCError(jsonrpc="2.0", id=id, error=error), status)


def _failure_of(error: MCPError, id: Any, version: str) -> Answer:
    status = ERROR_CODE_HTTP_STATUS if version in MODERN_PROTOCOL_VERSIONS else {}
    return failure(
        error.code, error.message, id=id, data=error.data, status=status.get(error.code, 200)
    )


def parse(
    message: Any, headers: Mapping[str, str] | None = None
) -> ClientRequest | types.JSONRPCNotification | Answer:
    """Return a client's request or notification, or the answer to a message that is not valid.

    `headers`, in lower case, are those of HTTP if any.
    """
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
        return parsed
    try:
        request = methods.parse_client_request(parsed.method, version, parsed.params)
    except KeyError:
        return _failure_of(no_method(parsed.method), id, version)
    except ValidationError as error:
        return _failure_of(MCPError(types.INVALID_PARAMS, _reason(error)), id, version)
    token = progress_token_from_params(parsed.params)
    return ClientRequest(parsed.id, parsed.method, version, request.params, token)


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
    return printable(f"Invalid parameters: {place}: {first['msg']}")


def no_method(method: str) -> MCPError:
    """Return the error of a method that is not served."""
    return MCPError(types.METHOD_NOT_FOUND, "Method not found", data=printable(method))


def printable(text: str) -> str:
    """Return the beginning of a client's text in a form that any log or answer can hold."""
    return text[:200].encode("utf-8", "backslashreplace").decode()
