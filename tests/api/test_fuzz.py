"""Whatever the API is sent, it answers, and as its description says; requests by schemathesis."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.parameters import ParameterLocation

from tests.api.catalogue import cases
from tests.api.conftest import World

#: How many requests an operation gets; `make test-fuzz` sends more, and others each time.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
ALWAYS_THE_SAME = "FUZZ_EXAMPLES" not in os.environ

load_all_checks()
EXCLUDED = [
    check
    for check in CHECKS.get_all()
    # A request that fits the description can still be refused: an empty filter, a cursor of
    # another query. All users are signed in here.
    if check.__name__ in ("positive_data_acceptance", "ignored_auth")
]


class SignedIn(WSGIHandler):
    """The WSGI application, with a user who may do everything."""

    def get_response(self, request: Any) -> Any:
        request._force_auth_user = User(pk=9, username="eve", is_staff=True, is_superuser=True)
        return super().get_response(request)


SCHEMA = schemathesis.openapi.from_path(Path(__file__).with_name("openapi.yaml"))
SCHEMA.app = SignedIn()
OPERATIONS = [operation.ok() for operation in SCHEMA.get_all_operations()]
NAMED = {case.operation.name: case for case in cases()}


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """Keep the test's connection to the database from request to request."""
    signals = request_started, request_finished
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def requests(
    operation: APIOperation[Any, Any, Any], path: dict[str, str]
) -> st.SearchStrategy[Any]:
    """Make requests that fit the description and others, about objects that exist and others."""

    def with_known_ids(case: Case, *, existing: bool) -> Case:
        part = case.meta.components.get(ParameterLocation.PATH)
        if existing and part is not None and part.mode.is_positive:
            entry = case.path_parameters.keys() & path.keys()
            case.path_parameters.update({name: path[name] for name in entry})
        return case

    good, bad = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    return st.builds(with_known_ids, good | bad, existing=st.booleans())


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_any_request_is_answered_as_described(
    operation: APIOperation[Any, Any, Any], world: World
) -> None:
    described = NAMED[operation.definition.raw["operationId"]]

    @settings(
        max_examples=EXAMPLES,
        derandomize=ALWAYS_THE_SAME,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=requests(operation, world.path_of(described)))
    def answers(case: Case) -> None:
        assume("%0A" not in "".join(map(str, case.path_parameters.values())))  # no path has that
        case.call_and_validate(excluded_checks=EXCLUDED)

    answers()
