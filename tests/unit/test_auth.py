"""Signatures are those of GitHub's webhooks, and a token is one that fits into a header."""

import json
import uuid
from urllib.parse import parse_qs

import pytest
import requests

from matatika_deploy.platform.auth import WebhookSignature, parse_token, token_request
from matatika_deploy.platform.responses import InvalidResponse, Response

# https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
OF_GITHUB = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def signed(secret: str, body: bytes, **headers: str) -> requests.PreparedRequest:
    auth = WebhookSignature(secret, "matatika-deploy-action/1.2.3")
    return requests.Request("POST", "https://app.example/api", headers=headers, data=body, auth=auth).prepare()


@pytest.mark.parametrize(
    ("secret", "body", "signature"),
    [
        ("It's a Secret to Everybody", b"Hello, World!", OF_GITHUB),
        # RFC 2202, 3, case 2.
        ("Jefe", b"what do ya want for nothing?", "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        # printf '{}' | openssl dgst -sha1 -hmac 'sésame', and an empty body likewise.
        ("sésame", b"{}", "sha1=a9c512e36ee8d5886365808a37017382dc487881"),
        ("secret", b"", "sha1=25af6174a0fcecc4d346680a72b7ce644b9a88e8"),
    ],
)
def test_signature_is_an_hmac_of_the_exact_body(secret: str, body: bytes, signature: str) -> None:
    name = "X-Hub-Signature-256" if signature.startswith("sha256") else "X-Hub-Signature"
    assert signed(secret, body).headers[name] == signature


def test_signed_request_is_what_github_sends_with_an_id_of_its_own_and_holds_no_secret() -> None:
    body = b'{"message": "\xff\x00\r\n"}'
    request = signed("s3cret", body, Accept="*/*", **{"User-Agent": "something else"})
    deliveries = {uuid.UUID(signed("s3cret", body).headers["X-GitHub-Delivery"]) for _ in range(3)}
    assert len(deliveries) == 3
    assert request.body == body
    assert request.headers["User-Agent"] == "GitHub-Hookshot/1.2.3 matatika-deploy-action/1.2.3"
    expected = {"X-GitHub-Event": "push", "Content-Type": "application/json", "Accept": "*/*"}
    assert expected.items() <= dict(request.headers).items()
    assert "Authorization" not in request.headers
    assert "s3cret" not in f"{request.url} {request.headers} {request.body!r}"


def test_token_request_is_a_form_and_says_nothing_secret() -> None:
    """OAuth 2.0 client credentials (RFC 6749, 4.4)."""
    request = token_request("https://identity.example/token", "https://api.example/&=?ü", "an id", "s3/c%r=t&")
    assert (request.method, request.url) == ("POST", "https://identity.example/token")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs((request.body or b"").decode("ascii"), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "client_id": ["an id"],
        "client_secret": ["s3/c%r=t&"],
        "audience": ["https://api.example/&=?ü"],
    }
    assert "s3" not in f"{request.action} {request.url} {request.headers} {request.hints}"


def respond(body: object) -> Response:
    return Response(200, {}, body if isinstance(body, bytes) else json.dumps(body).encode(), 0, 0)


NO_TOKENS = [None, 17, "", ["t0ken"], "two words", "line\nHost: evil.example", "tökén", "\x7f"]


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, [], {}, *({"access_token": it} for it in NO_TOKENS)])
def test_answer_without_a_token_that_could_go_into_a_header_is_unreadable(body: object) -> None:
    assert parse_token(respond({"access_token": "t0ken", "expires_in": 86400})) == "t0ken"
    with pytest.raises(InvalidResponse):
        parse_token(respond(body))
