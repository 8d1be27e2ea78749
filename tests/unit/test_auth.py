"""Signatures are those of GitHub's webhooks, and a token is one that fits into a header."""

import json
import uuid
from urllib.parse import parse_qs

import pytest
import requests

from matatika_deploy.platform.auth import AccessToken, WebhookSignature, parse_token, token_request
from matatika_deploy.platform.responses import InvalidResponse, Response

ADDRESS = "https://app.matatika.com/api/workspaces/x/deployments/github-webhook"


def signed(secret: str, body: bytes, headers: dict[str, str] | None = None) -> requests.PreparedRequest:
    auth = WebhookSignature(secret, "matatika-deploy-action/1.2.3")
    return requests.Request("POST", ADDRESS, headers=headers, data=body, auth=auth).prepare()


class TestSignature:
    """HMAC over the exact bytes of the body."""

    def test_github_s_own_example(self) -> None:
        """https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation."""
        request = signed("It's a Secret to Everybody", b"Hello, World!")
        assert request.headers["X-Hub-Signature-256"] == (
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        )

    @pytest.mark.parametrize(
        ("secret", "body", "sha1", "sha256"),
        [
            # RFC 2202, 3, case 2, and RFC 4231, 4.3.
            (
                "Jefe",
                b"what do ya want for nothing?",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            # RFC 2202, 3, case 1, and RFC 4231, 4.2.
            (
                "\x0b" * 20,
                b"Hi There",
                "b617318655057264e28bc0b6fb378c8ef146be00",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
        ],
    )
    def test_the_standards_examples(self, secret: str, body: bytes, sha1: str, sha256: str) -> None:
        request = signed(secret, body)
        assert request.headers["X-Hub-Signature"] == f"sha1={sha1}"
        assert request.headers["X-Hub-Signature-256"] == f"sha256={sha256}"

    def test_a_secret_is_utf_8(self) -> None:
        # printf '{}' | openssl dgst -sha1 -hmac 'sésame'
        assert signed("sésame", b"{}").headers["X-Hub-Signature"] == "sha1=a9c512e36ee8d5886365808a37017382dc487881"

    def test_bytes_that_are_no_text_are_signed_and_sent_as_they_are(self) -> None:
        body = b'{"message": "\xff\x00\r\n"}'
        request = signed("secret", body)
        assert request.body == body
        assert request.headers["Content-Length"] == str(len(body))

    def test_a_body_of_nothing_is_signed_too(self) -> None:
        # printf '' | openssl dgst -sha1 -hmac secret
        assert signed("secret", b"").headers["X-Hub-Signature"] == "sha1=25af6174a0fcecc4d346680a72b7ce644b9a88e8"

    def test_sends_what_github_sends(self) -> None:
        headers = signed("secret", b"{}", {"User-Agent": "something else", "Accept": "*/*"}).headers
        assert headers["User-Agent"].startswith("GitHub-Hookshot/")
        assert "matatika-deploy-action/1.2.3" in headers["User-Agent"]
        assert headers["X-GitHub-Event"] == "push"
        assert headers["Content-Type"] == "application/json"
        assert headers["Accept"] == "*/*"
        assert str(uuid.UUID(headers["X-GitHub-Delivery"])) == headers["X-GitHub-Delivery"]

    def test_every_delivery_has_an_id_of_its_own(self) -> None:
        assert len({signed("secret", b"{}").headers["X-GitHub-Delivery"] for _ in range(10)}) == 10

    def test_the_secret_goes_nowhere(self) -> None:
        request = signed("s3cret", b"{}")
        assert "s3cret" not in f"{request.url} {request.headers} {request.body!r}"
        assert "Authorization" not in request.headers


class TestAccessToken:
    """A bearer token that can be renewed."""

    def test_goes_into_the_header(self) -> None:
        request = requests.Request("GET", ADDRESS, auth=AccessToken("t0ken")).prepare()
        assert request.headers["Authorization"] == "Bearer t0ken"

    def test_the_present_one_counts(self) -> None:
        access = AccessToken("old")
        access.value = "new"
        assert requests.Request("GET", ADDRESS, auth=access).prepare().headers["Authorization"] == "Bearer new"


class TestTokenRequest:
    """OAuth 2.0 client credentials (RFC 6749, 4.4)."""

    def test_is_a_form(self) -> None:
        request = token_request("https://identity.example/token", "https://api.example/&=?ü", "an id", "s+e/c%r=t&")
        assert (request.method, request.url) == ("POST", "https://identity.example/token")
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert parse_qs((request.body or b"").decode("ascii"), strict_parsing=True) == {
            "grant_type": ["client_credentials"],
            "client_id": ["an id"],
            "client_secret": ["s+e/c%r=t&"],
            "audience": ["https://api.example/&=?ü"],
        }

    def test_nothing_secret_stands_in_what_is_said_of_it(self) -> None:
        request = token_request("https://identity.example/token", "audience", "an id", "s3cret")
        assert "s3cret" not in f"{request.action} {request.url} {request.headers} {request.hints}"


def respond(body: object) -> Response:
    return Response(200, {}, body if isinstance(body, bytes) else json.dumps(body).encode(), 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"access_token": "t0ken"},
        {"access_token": "t0ken", "token_type": "Bearer", "expires_in": 86400, "scope": "x"},
    ],
)
def test_the_token_is_read(body: object) -> None:
    assert parse_token(respond(body)) == "t0ken"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"access_token": "t0',
        b"\xff",
        b"[" * 100_000,
        [],
        "t0ken",
        None,
        {},
        {"access_token": None},
        {"access_token": 17},
        {"access_token": ""},
        {"access_token": ["t0ken"]},
        {"access_token": "two words"},
        {"access_token": "line\nHost: evil.example"},
        {"access_token": "tökén"},
        {"access_token": "\x7f"},
    ],
    ids=lambda body: ascii(body)[:40],
)
def test_what_could_not_go_into_a_header_is_unreadable(body: object) -> None:
    with pytest.raises(InvalidResponse):
        parse_token(respond(body))
