"""Whatever the document allows or forbids is asked: nothing fails, and every answer is as the document says."""

from __future__ import annotations

import os
from itertools import product
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from tests.server.dialects.test_tasks import ROWS
from tests.server.fixed_engine import FixedEngine

from wenlu.server.http.app import build_app
from wenlu.server.http.served import Served
from wenlu.server.messages import Answer, Asking, ModelInfo, Reply
from wenlu.server.settings import Limits

EXAMPLES = 200 if os.environ.get("WENLU_PROOF") == "1" else 2
MODEL = ModelInfo(
    "all",
    (
        "chat",
        "complete",
        "fill-in-the-middle",
        "embed",
        "classify",
        "extract",
        "answer",
        "translate",
        "grade",
        "explain",
    ),
    created=1_700_000_000,
    context=4096,
    columns=("text", "question", "context"),
    dimensions=8,
)
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
POSTS = [
    *(f"POST /v1/{name}" for name in ("chat/completions", "completions", "embeddings", "messages")),
    *(f"POST /v1/{name}" for name in ("messages/count_tokens", "classify", "extract", "answer", "translate", "grade")),
    "POST /v1/explain",
    *("POST /tokenize", "POST /detokenize"),
]
GETS = ["GET /v1/models", "GET /v1/models/{name}", "GET /tokenizer_info"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


class Fixed(FixedEngine):
    """Answers each task in its own words."""

    async def ask(self, request: Asking) -> Reply:
        if isinstance(request, Answer):
            self.rows = (ROWS[request.ability][0],)
        return await super().ask(request)


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    served = Served(Fixed(models=(MODEL,)), Limits(per_minute=1_000_000, concurrent=1000))
    document = schemathesis.openapi.from_asgi("/openapi.json", build_app(served))
    found = [result.ok() for result in document.get_all_operations()]
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


@pytest.mark.parametrize(
    ("name", "mode"),
    [*product(POSTS, (POSITIVE, NEGATIVE)), *product(GETS, (POSITIVE,))],  # every path is a right one
)
def test_any_request_is_answered_as_the_document_says(name: str, mode: Any, operations: dict[str, Any]) -> None:
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @hypothesis.given(case=operations[name].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body["model"] = MODEL.name  # so that more than the name is asked
        case.call_and_validate(checks=CHECKS)

    ask()


def test_every_route_that_reads_a_body_is_asked(operations: dict[str, Any]) -> None:
    assert sorted(name for name in operations if not name.startswith("GET ")) == sorted(POSTS)
