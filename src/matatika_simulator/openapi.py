"""The simulator's own OpenAPI document."""

from typing import Any

from matatika_simulator.api import Call


def document(calls: list[Call]) -> dict[str, Any]:
    """The document, made from the calls themselves."""
    paths: dict[str, Any] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = {"operationId": call.operation_id}
    return {"openapi": "3.0.3", "paths": paths}
