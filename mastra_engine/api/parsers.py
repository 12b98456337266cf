"""Parsers of request bodies: strict JSON, and JSON Lines of any length in constant memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn

from django.http import UnreadablePostError
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from mastra_engine.conf import api_settings
from mastra_engine.exceptions import InvalidInput

logger = logging.getLogger("mastra_engine.api")

JSON_LINES = "application/x-ndjson"
_BLOCK = 64 * 1024


class TooLarge(APIException):
    status_code = 413
    default_code = "too_large"

    def __init__(self, maximum: int) -> None:
        super().__init__(f"The body is larger than {maximum} bytes.")


class LengthRequired(APIException):
    status_code = 411
    default_code = "length_required"
    default_detail = "The request has a body, but no Content-Length header."


class InsufficientStorage(APIException):
    status_code = 507
    default_code = "insufficient_storage"
    default_detail = "The server cannot store the upload now; retry the request later."

    def __init__(self) -> None:
        super().__init__()
        self.wait = api_settings().retry_after


class JsonParser(BaseParser):
    """Parse JSON in UTF-8; refuse duplicate keys and numbers that are not JSON."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limits = api_settings()
        body = b"".join(_blocks(stream, parser_context or {}, maximum=limits.max_bytes))
        return strict_loads(body, depth=limits.max_depth)


class JsonLinesParser(BaseParser):
    """Parse one JSON value per line.

    The body is received into a temporary file before the engine takes any lock, so that a slow
    client does not block other requests.
    """

    media_type = JSON_LINES
    #: The setting that limits the size of the body.
    limit = "max_upload_bytes"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = parser_context or {}
        view = context["view"]
        maximum = getattr(api_settings(), self.limit)
        digest = blake2b()
        with _storing():
            file = TemporaryFile()  # noqa: SIM115 - the view closes it
        view.closing.callback(file.close)
        for block in _blocks(stream, context, maximum=maximum):
            digest.update(block)
            with _storing(file):
                file.write(block)
        with _storing(file):
            file.flush()
        return Upload(file, digest.hexdigest(), f"/{view.operation.lines}")


class BoundedLinesParser(JsonLinesParser):
    """Parse JSON Lines no larger than a JSON body, for an engine method that keeps all lines."""

    limit = "max_bytes"


class Upload:
    """Lines of JSON in a file, which can be iterated repeatedly, with their digest and pointer."""

    def __init__(self, file: IO[bytes], digest: str, path: str) -> None:
        self.file = file
        self.digest = digest
        self.path = path

    def __iter__(self) -> Iterator[Any]:
        self.file.seek(0)
        return _lines(self.file, self.path)


def empty_upload(argument: str) -> Upload:
    """Return the upload of a body without a byte."""
    return Upload(BytesIO(), blake2b().hexdigest(), f"/{argument}")


@contextmanager
def _storing(file: IO[bytes] | None = None) -> Iterator[None]:
    """Raise InsufficientStorage for errors of the temporary file, such as a full disk."""
    try:
        yield
    except OSError as error:
        if file is not None:
            with suppress(OSError):  # Closing writes the buffer again.
                file.close()
        logger.exception("An upload cannot be stored in the temporary directory")
        raise InsufficientStorage from error


def is_lines(request: Request) -> bool:
    """Return whether a body is JSON Lines, by the media type that Django parses."""
    return bool(request._request.content_type == JSON_LINES)


def require_length(request: Request) -> None:
    """Raise LengthRequired for a body without a `Content-Length` header.

    REST framework treats such a body as empty, and a full sync of no records deletes all records.
    """
    has_body = "Transfer-Encoding" in request.headers or is_lines(request)
    if has_body and not request.headers.get("Content-Length"):
        raise LengthRequired


def strict_loads(raw: bytes, *, depth: int = 64, path: str = "") -> Any:
    """Return the value of JSON text; raises InvalidInput, also for duplicate keys."""
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"is not JSON: {_reason(error)}", path=path) from None
    if _nests_deeper(value, depth):
        raise InvalidInput(f"nests deeper than {depth} levels", path=path)
    return value


def _lines(file: IO[bytes], path: str) -> Iterator[Any]:
    limits = api_settings()
    number = 0
    while line := file.readline(limits.max_bytes + 1):
        if len(line) > limits.max_bytes:
            raise TooLarge(limits.max_bytes)
        if line.strip():
            yield strict_loads(line, depth=limits.max_depth, path=f"{path}/{number}")
            number += 1


def _blocks(stream: Any, context: Mapping[str, Any], *, maximum: int) -> Iterator[bytes]:
    """Yield the blocks of a body; raises TooLarge as soon as it exceeds `maximum` bytes."""
    size, announced = 0, int(context["request"].headers["Content-Length"])
    try:
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > maximum:
                raise TooLarge(maximum)
            yield block
    except UnreadablePostError as error:
        raise ParseError("The body is shorter than its Content-Length.") from error
    if size < announced:  # A WSGI server ends the stream when the client disconnects.
        raise ParseError("The body is shorter than its Content-Length.")


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return unique


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error)


def _nests_deeper(value: Any, levels: int) -> bool:
    """Return whether a value has more levels, which are counted without recursion."""
    nodes: list[Any] = [value]
    for _ in range(levels + 1):
        nodes = [
            child for node in nodes if isinstance(node, dict | list) for child in _children(node)
        ]
        if not nodes:
            return False
    return True


def _children(node: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return node.values() if isinstance(node, dict) else node
