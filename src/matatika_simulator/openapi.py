"""The simulator's own OpenAPI document: made from the calls that are served, so that it cannot name others.

What the calls themselves do not know (parameters outside of the path, answers) is described here by operation. An
operation without a description is an error.

https://spec.openapis.org/oas/v3.0.3
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from matatika_simulator.api import Call
from matatika_simulator.jobs import Status

_JSON: Final = "application/json"
_LOG_MEDIA: Final = ("text/plain", "application/stream+json", "application/x-ndjson")


def document(calls: Sequence[Call]) -> dict[str, Any]:
    """The OpenAPI document of these calls."""
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, _OPERATIONS[call.operation_id])
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Simulated Matatika API: the part that deployments touch",
            "version": "v0",
            "description": "Served by matatika_simulator, for tests and demonstrations.",
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


@dataclass(frozen=True)
class _Operation:
    summary: str
    answers: Mapping[int, Any]
    """A schema for each status, or None if there is no body."""
    parameters: Sequence[Mapping[str, Any]] = ()
    body: Mapping[str, Any] | None = None
    media: Sequence[str] = (_JSON,)
    errors: Sequence[int] = ()


def _operation(call: Call, operation: _Operation) -> dict[str, Any]:
    answers = {status: _answer(status, schema, operation.media) for status, schema in operation.answers.items()}
    errors = {status: _answer(status, _ref("Error"), (_JSON,)) for status in operation.errors}
    described: dict[str, Any] = {
        "operationId": call.operation_id,
        "summary": operation.summary,
        "parameters": [*_path_parameters(call.path), *operation.parameters],
        "responses": {str(status): answer for status, answer in sorted((answers | errors).items())},
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": operation.body}
    if call.needs_token:
        described["security"] = [{"bearer": []}]
    return described


def _path_parameters(path: str) -> list[dict[str, Any]]:
    schema = {"type": "string", "format": "uuid"}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in re.findall(r"{(\w+)}", path)]


def _answer(status: int, schema: Mapping[str, Any] | None, media: Sequence[str]) -> dict[str, Any]:
    content = {} if schema is None else {"content": {name: {"schema": schema} for name in media}}
    return {"description": HTTPStatus(status).phrase, **content}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, schema: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _object(properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return schema | {"required": list(required)} if required else schema


_TEXT: Final = {"type": "string"}
_NULLABLE: Final = {"type": "string", "nullable": True}
_UUID: Final = {"type": "string", "format": "uuid"}
_TIME: Final = {"type": "string", "format": "date-time"}
_INT32: Final = {"type": "integer", "format": "int32"}
_INT64: Final = {"type": "integer", "format": "int64"}
_FLAG: Final = {"type": "boolean"}
_PAGEABLE: Final = _query("pageable", _ref("Pageable"))

_TOKEN_REQUEST: Final = _object(
    {"grant_type": _TEXT, "client_id": _TEXT, "client_secret": _TEXT, "audience": _TEXT},
    required=["grant_type", "client_id", "client_secret", "audience"],
)

_OPERATIONS: Final[Mapping[str, _Operation]] = {
    "issueToken": _Operation(
        "Exchange an API key for an access token",
        {200: _ref("Token"), 400: _ref("TokenError"), 401: _ref("TokenError"), 403: _ref("TokenError")},
        body={name: {"schema": _TOKEN_REQUEST} for name in ("application/x-www-form-urlencoded", _JSON)},
    ),
    "deploy": _Operation("Queue a deployment", {202: _ref("JobResource")}, errors=(400, 401, 404, 409)),
    "deploy_1": _Operation(
        "Queue a deployment by a signed webhook",
        {202: _ref("JobResource")},
        parameters=[{"name": "X-Hub-Signature", "in": "header", "required": True, "schema": _TEXT}],
        body={_JSON: {"schema": _TEXT}},
        errors=(400, 401, 404, 409),
    ),
    "getWorkspaceJobs": _Operation(
        "List a workspace's jobs",
        {200: _ref("PagedModelJobResource")},
        parameters=[_PAGEABLE, _query("pagedResourcesAssembler", _ref("PagedResourcesAssemblerJobVO"))],
        errors=(400, 401, 404),
    ),
    "getJob": _Operation("Look at a job", {200: _ref("JobResource")}, errors=(400, 401, 404)),
    "deleteJob": _Operation("Delete a job and stop it", {204: None}, errors=(400, 401, 404)),
    "getLogs": _Operation(
        "Read a job's log from the line numbered `sequence` on",
        {200: _ref("StreamingResponseBody"), 204: None},
        parameters=[_PAGEABLE, _query("sequence", {**_INT64, "default": 0}, required=False)],
        media=_LOG_MEDIA,
        errors=(400, 401, 404, 406),
    ),
    "stopJob": _Operation(
        "Withdraw a job",
        {status: {"type": "object", "additionalProperties": _TEXT} for status in (200, 202)},
        errors=(400, 401, 404, 409),
    ),
    "getWorkspace": _Operation("Look at a workspace", {200: _ref("WorkspaceResource")}, errors=(400, 401, 404)),
}

_SCHEMAS: Final[Mapping[str, Any]] = {
    "Error": _object(
        {
            "timestamp": _TIME,
            "status": _INT32,
            "error": _TEXT,
            "errors": {"type": "array", "items": {"type": "object"}},
            "message": _TEXT,
            "path": _TEXT,
        }
    ),
    "JobResource": _object(
        {
            "id": _UUID,
            "created": _TIME,
            "type": _TEXT,
            "triggeredBy": _TEXT,
            "maxAttempts": _INT32,
            "attempt": _INT32,
            "commitId": _TEXT,
            "exitCode": _INT32,
            "status": {**_TEXT, "enum": [status.value for status in Status]},
            "startTime": _TIME,
            "endTime": _TIME,
            "_embedded": {"type": "object"},
            "_links": _ref("Links"),
        },
        required=["id", "status"],
    ),
    "Link": _object({"href": _TEXT, "type": _TEXT}, required=["href"]),
    "Links": {"type": "object", "additionalProperties": _ref("Link")},
    "PageMetadata": _object(dict.fromkeys(("size", "totalElements", "totalPages", "number"), _INT64)),
    "Pageable": _object(
        {
            "page": {**_INT32, "minimum": 0},
            "size": {**_INT32, "minimum": 1},
            "sort": {"type": "array", "items": _TEXT},
        }
    ),
    "PagedModelJobResource": _object(
        {
            "_embedded": _object({"jobs": {"type": "array", "items": _ref("JobResource")}}),
            "_links": _ref("Links"),
            "page": _ref("PageMetadata"),
        }
    ),
    "PagedResourcesAssemblerJobVO": _object({"forceFirstAndLastRels": {**_FLAG, "writeOnly": True}}),
    "StreamingResponseBody": {"type": "object"},
    "Token": _object({"access_token": _TEXT, "token_type": _TEXT, "expires_in": _INT32}),
    "TokenError": _object({"error": _TEXT, "error_description": _TEXT}),
    "WorkspaceResource": _object(
        {
            "id": _UUID,
            "created": _TIME,
            "lastModified": _TIME,
            "alias": _NULLABLE,
            "name": _TEXT,
            "domains": {"type": "array", "items": _TEXT},
            "repositoryUrl": _NULLABLE,
            "repositoryBranch": _NULLABLE,
            "repositoryDirectory": _NULLABLE,
            "deploymentSecret": _TEXT,
            "sshPrivateKey": _TEXT,
            "defaultEnvironment": _NULLABLE,
            "appProperties": {"type": "object", "additionalProperties": _TEXT},
            "status": {**_TEXT, "enum": ["PROVISIONING", "READY", "FAILED"]},
            "managed": _FLAG,
            "_embedded": {"type": "object"},
            "_links": _ref("Links"),
        },
        required=["name"],
    ),
}
