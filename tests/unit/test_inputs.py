"""Inputs become settings, or one error that names every mistake with its cure, and shows no credential."""

import re
from pathlib import Path
from typing import Any, ClassVar

import certifi
import pytest

from matatika_deploy.errors import BadInput
from matatika_deploy.github.inputs import (
    CREDENTIALS,
    INPUTS,
    ApiKey,
    DeletePolicy,
    JobPolicy,
    Logs,
    Settings,
    Strictness,
    read_input,
    read_secrets,
    read_settings,
    timeout_hint,
)

WORKSPACE = "5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e"


def environ(**inputs: str) -> dict[str, str]:
    """The environment of a step with a workspace and a token, unless `inputs` (with underscores) say otherwise."""
    given = {"workspace_id": WORKSPACE, "token": "t0ken", **inputs}
    return {f"INPUT_{name.upper().replace('_', '-')}": value for name, value in given.items()}


def settings(**inputs: str) -> Settings:
    return read_settings(environ(**inputs))


def problems(**inputs: str) -> tuple[str, ...]:
    with pytest.raises(BadInput) as caught:
        settings(**inputs)
    return caught.value.problems


def test_every_input_has_the_documented_default() -> None:
    assert settings() == Settings(
        workspace_id=WORKSPACE,
        token="t0ken",
        client_id=None,
        client_secret=None,
        deployment_secret=None,
        api_url="https://app.matatika.com/api",
        auth_url="https://identity.matatika.com/oauth/token",
        audience="https://app.matatika.com/api",
        wait=True,
        timeout=30 * 60,
        poll_interval=10,
        logs=Logs.STREAM,
        on_timeout=JobPolicy.WITHDRAW,
        on_cancel=JobPolicy.WITHDRAW,
        preflight=Strictness.WARN,
        verify_source=Strictness.WARN,
        workspace_directory=None,
        dry_run=False,
        run_pipelines=None,
        on_delete=DeletePolicy.WARN,
        ca_bundle=None,
    )


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n "])
def test_a_blank_input_is_not_given(blank: str) -> None:
    optional = {name: blank for name in Settings._fields if name not in ("workspace_id", "token")}
    assert settings(**optional) == settings()


def test_settings_have_a_field_for_each_input() -> None:
    assert list(Settings._fields) == [one.field for one in INPUTS]
    assert {one.name for one in INPUTS} > set(CREDENTIALS)


ACCEPTED: list[tuple[str, str, Any]] = [
    ("workspace_id", WORKSPACE.upper(), WORKSPACE),
    ("workspace_id", WORKSPACE.replace("-", ""), WORKSPACE),
    ("workspace_id", WORKSPACE.replace("-", "").upper(), WORKSPACE),
    ("token", "a.b-c_d~e+f/g=", "a.b-c_d~e+f/g="),
    ("deployment_secret", "sésame%$", "sésame%$"),
    ("api_url", "https://app.meltano.com/api", "https://app.meltano.com/api"),
    ("api_url", "https://app.meltano.com/api/", "https://app.meltano.com/api"),
    ("api_url", "https://catalog.matatika.com:443/api", "https://catalog.matatika.com:443/api"),
    ("api_url", "https://[2001:db8::1]:8443/api", "https://[2001:db8::1]:8443/api"),
    ("api_url", "http://localhost:8080/api", "http://localhost:8080/api"),
    ("api_url", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("api_url", "http://127.1.2.3/api", "http://127.1.2.3/api"),
    ("api_url", "http://[::1]:8080/api", "http://[::1]:8080/api"),
    ("auth_url", "https://login.example.com/oauth/token", "https://login.example.com/oauth/token"),
    ("auth_url", "http://127.0.0.1:1/token", "http://127.0.0.1:1/token"),
    ("audience", "https://catalog.matatika.com/api", "https://catalog.matatika.com/api"),
    ("audience", "any text, ünicode too", "any text, ünicode too"),
    ("wait", "false", False),
    ("wait", "TRUE", True),
    ("wait", "Yes", True),
    ("wait", "no", False),
    ("wait", "on", True),
    ("wait", "OFF", False),
    ("wait", "1", True),
    ("wait", "0", False),
    ("dry_run", "true", True),
    ("timeout", "90", 90),
    ("timeout", "90s", 90),
    ("timeout", "15m", 15 * 60),
    ("timeout", "2h", 2 * 3600),
    ("timeout", "1h30m", 90 * 60),
    ("timeout", "1h0m5s", 3605),
    ("timeout", "1H30M", 90 * 60),
    ("timeout", "1", 1),
    ("timeout", "24h", 24 * 3600),
    ("timeout", "86400", 24 * 3600),
    ("poll_interval", "1s", 1),
    ("poll_interval", "5m", 300),
    ("logs", "stream", Logs.STREAM),
    ("logs", "on-failure", Logs.ON_FAILURE),
    ("logs", "None", Logs.NONE),
    ("on_timeout", "leave", JobPolicy.LEAVE),
    ("on_cancel", "Leave", JobPolicy.LEAVE),
    ("preflight", "error", Strictness.ERROR),
    ("preflight", "off", Strictness.OFF),
    *(("preflight", value, Strictness.OFF) for value in ("false", "False", "no", "0", "OFF")),
    ("verify_source", "false", Strictness.OFF),
    ("verify_source", "ERROR", Strictness.ERROR),
    ("on_delete", "Refuse", DeletePolicy.REFUSE),
    ("on_delete", "allow", DeletePolicy.ALLOW),
    ("run_pipelines", " a,b\n c \n", "a,b\n c"),
    ("workspace_directory", "data/workspace", "data/workspace"),
    ("workspace_directory", "./data//workspace/", "data/workspace"),
    ("workspace_directory", "with space/ünicode", "with space/ünicode"),
    ("workspace_directory", "..data/a..b", "..data/a..b"),
    ("workspace_directory", ".", "."),
]


@pytest.mark.parametrize(("name", "value", "expected"), ACCEPTED)
def test_a_value_is_accepted(name: str, value: str, expected: Any) -> None:
    assert getattr(settings(**{name: value}), name) == expected
    assert getattr(settings(**{name: f" {value}\n"}), name) == expected


def test_the_audience_is_the_api_unless_it_is_given() -> None:
    assert settings(api_url="https://app.meltano.com/api/").audience == "https://app.meltano.com/api"


REFUSED = [
    # What is no UUID could lead to another address.
    ("workspace_id", "1f2e4b3c"),
    ("workspace_id", f"../{WORKSPACE}"),
    ("workspace_id", f"{WORKSPACE}/../x"),
    ("workspace_id", f"{WORKSPACE}\n{WORKSPACE}"),
    ("workspace_id", WORKSPACE.replace("-", "")[:-1]),
    ("workspace_id", f"{{{WORKSPACE}}}"),
    ("workspace_id", WORKSPACE.replace("5", "\u0665")),
    ("token", "one two"),
    ("token", "one\ntwo"),
    ("token", "one\x00two"),
    ("token", "one\u200btwo"),
    ("token", "tökén"),
    ("token", "\ufefftoken"),
    ("deployment_secret", "one\ttwo"),
    ("deployment_secret", "one\x1btwo"),
    ("deployment_secret", "one\udc80two"),
    *(
        (name, url)
        for name in ("api_url", "auth_url")
        for url in (
            "http://matatika.example/path",
            "http://127.0.0.1.example/path",
            "http://localhost.example/path",
            "http://[2001:db8::1]/path",
            "http://2130706433/path",
            "matatika.example/path",
            "//matatika.example/path",
            "ftp://matatika.example/path",
            "file:///path",
            "https://",
            "https:///path",
            "https://:8443/path",
            "https://user@matatika.example/path",
            "https://user:pass@matatika.example/path",
            "https://@matatika.example/path",
            "https://matatika.example/path?query=1",
            "https://matatika.example/path?",
            "https://matatika.example/path#fragment",
            "https://matatika.example/pa th",
            "https://matatika.example/pa\nth",
            "https://matatika.example\\path",
            "https://matätika.example/path",
            "https://matatika.example:port/path",
            "https://matatika.example:99999/path",
            "https://matatika.example:0/path",
            "https://[::1/path",
            "https://mat%61tika.example/path",
            "https://-matatika.example/path",
        )
    ),
    ("audience", "one\ntwo"),
    ("audience", "one\x00two"),
    ("wait", "maybe"),
    ("wait", "2"),
    ("wait", "true false"),
    ("dry_run", "y"),
    ("timeout", "0"),
    ("timeout", "0h0m0s"),
    ("timeout", "-5"),
    ("timeout", "24h1s"),
    ("timeout", "86401"),
    ("timeout", "9" * 40),
    ("timeout", "1.5h"),
    ("timeout", "ten"),
    ("timeout", "10x"),
    ("timeout", "s"),
    ("timeout", "30m1h"),
    ("timeout", "10 m"),
    ("timeout", "\u0661\u0660m"),
    ("timeout", "inf"),
    ("poll_interval", "0"),
    ("poll_interval", "301"),
    ("poll_interval", "6m"),
    ("logs", "streams"),
    ("logs", "true"),
    ("logs", "false"),
    ("on_timeout", "stop"),
    ("on_cancel", "delete"),
    ("preflight", "true"),
    ("verify_source", "warning"),
    ("on_delete", "error"),
    ("workspace_directory", "/data"),
    ("workspace_directory", "../data"),
    ("workspace_directory", "data/../../x"),
    ("workspace_directory", "data\\x"),
    ("workspace_directory", "data\nx"),
    ("workspace_directory", "data\x00x"),
    ("ca_bundle", "missing.pem"),
    ("ca_bundle", "no\x00file"),
    ("ca_bundle", "x" * 5000),
    ("ca_bundle", "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=lambda text: ascii(text)[1:60])
def test_a_bad_value_is_refused_by_the_inputs_name(name: str, value: str) -> None:
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"`{name.replace('_', '-')}` must ")
    # Some values are so short that they are a part of any sentence.
    assert len(value) < 10 or value not in problem


# Recognised mistakes: the input, what was written, and what the error says to do.
CURES = [
    (
        "workspace_id",
        f"https://app.matatika.com/workspaces/{WORKSPACE}",
        f"without the address around it: {WORKSPACE}.",
    ),
    ("workspace_id", f"https://app.meltano.com/workspaces/{WORKSPACE}/jobs?a=b", f"address around it: {WORKSPACE}."),
    ("workspace_id", f"https://app.matatika.com/jobs/{WORKSPACE}", "the end of the workspace's address in the app."),
    ("workspace_id", f'"{WORKSPACE}"', "remove them."),
    ("workspace_id", "vars.WORKSPACE_ID", "write `${{ secrets.NAME }}`, or `${{ vars.NAME }}`, in the workflow."),
    ("workspace_id", "${{ vars.WORKSPACE_ID }}", "write `${{ secrets.NAME }}`"),
    *(
        (name, value, cure)
        for name in ("token", "client_secret", "deployment_secret")
        for value, cure in (
            ('"s3cret-value"', "must not have quotes around it: remove them."),
            ("'s3cret-value'", "remove them."),
            ("$TOKEN", "write `${{ secrets.NAME }}`"),
            ("${TOKEN}", "write `${{ secrets.NAME }}`"),
            ("$env:token", "write `${{ secrets.NAME }}`"),
            ("%TOKEN%", "write `${{ secrets.NAME }}`"),
            ("secrets.TOKEN", "write `${{ secrets.NAME }}`"),
            ("${{ secrets.TOKEN }}", "write `${{ secrets.NAME }}`"),
            ("{{ secrets.TOKEN }}", "must not have white space"),
            ("Bearer s3cret-value", "must be the token alone: remove `Bearer` before it."),
            ("bearer\ts3cret-value", "remove `Bearer` before it."),
            ("Authorization: Bearer s3cret-value", "remove `Bearer` before it."),
        )
    ),
    *(
        (name, value, "must begin with `https://`: add it.")
        for name in ("api_url", "auth_url")
        for value in ("app.matatika.com/api", "app.matatika.com", "catalog.matatika.com:443/api", "localhost:8080/api")
    ),
    ("api_url", "https://app.meltano.com", "did you mean https://app.meltano.com/api?"),
    ("api_url", "https://APP.matatika.com/", "did you mean https://app.matatika.com/api?"),
    ("api_url", "https://catalog.matatika.com:443", "did you mean https://catalog.matatika.com/api?"),
    ("api_url", f"https://app.matatika.com/workspaces/{WORKSPACE}", "did you mean https://app.matatika.com/api?"),
    ("api_url", "vars.API_URL", "write `${{ secrets.NAME }}`"),
    ("audience", "vars.AUDIENCE", "write `${{ secrets.NAME }}`"),
    ("wait", "'true'", "remove them."),
    ("wait", "inputs.wait", "write `${{ secrets.NAME }}`"),
    ("timeout", '"30m"', "remove them."),
    ("timeout", "$TIMEOUT", "write `${{ secrets.NAME }}`"),
    ("timeout", "inputs.timeout", "write `${{ secrets.NAME }}`"),
    ("preflight", "`off`", "remove them."),
    ("logs", "vars.LOGS", "write `${{ secrets.NAME }}`"),
    ("workspace_directory", "“data”", "remove them."),
    ("workspace_directory", "$DIRECTORY", "write `${{ secrets.NAME }}`"),
    ("ca_bundle", "$CA_PEM", "write `${{ secrets.NAME }}`"),
    ("ca_bundle", "secrets.CA_PEM", "write `${{ secrets.NAME }}`"),
]


@pytest.mark.parametrize(("name", "value", "cure"), CURES, ids=ascii)
def test_a_recognised_mistake_is_named_with_its_cure(name: str, value: str, cure: str) -> None:
    other = {"token": "", "client_id": "an-id"} if name == "client_secret" else {}
    (problem,) = problems(**{**other, name: value})
    assert problem.startswith(f"`{name.replace('_', '-')}` must ")
    assert cure in problem
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", "$2y$10$abc"),
        ("token", "a$TOKEN"),
        ("deployment_secret", "it's"),
        ("deployment_secret", '"'),
        ("deployment_secret", "bearer-of-news"),
        ("workspace_directory", "env.d"),
        ("workspace_directory", "inputs.data"),
    ],
)
def test_a_value_that_only_resembles_a_mistake_is_accepted(name: str, value: str) -> None:
    assert getattr(settings(**{name: value}), name) == value


def test_an_empty_credential_is_told_where_secrets_are_missing() -> None:
    for given in ({"token": ""}, {"token": "", "client_id": "id"}):
        (problem,) = problems(**given)
        assert problem.endswith(
            "is empty: is there a secret of that name in this repository or environment? Workflows of forks and "
            "Dependabot get none."
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"timeout": "x"},
            "`timeout` must be a duration like `90s`, `15m` or `1h30m`: more than 0, at most 24h. Correct "
            "the step's `with:` in the workflow.",
        ),
        (
            {"api_url": "https://app.meltano.com", "wait": "x"},
            "2 mistakes. (1) `api-url` must be the root of the API: did you mean "
            "https://app.meltano.com/api? (2) `wait` must be `true` or `false`. Correct the step's `with:` in the "
            "workflow.",
        ),
    ],
)
def test_mistakes_are_a_list_of_sentences_that_end_once(given: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        settings(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("timeout", "hint"),
    [
        ("30", "`timeout: 30` means 30 seconds: 30 minutes are written `30m`."),
        (" 1440 ", "`timeout: 1440` means 1440 seconds: 1440 minutes are written `1440m`."),
        ("1441", ""),
        ("30s", ""),
        ("", ""),
    ],
)
def test_a_number_without_a_unit_is_told_as_seconds(timeout: str, hint: str) -> None:
    assert timeout_hint(environ(timeout=timeout)) == hint


@pytest.mark.parametrize(("name", "other"), [("client_id", "client_secret"), ("client_secret", "client_id")])
@pytest.mark.parametrize("value", ["one two", "one\x7ftwo"])
def test_a_bad_part_of_an_api_key_is_refused(name: str, other: str, value: str) -> None:
    (problem,) = problems(**{"token": "", name: value, other: "fine"})
    assert problem.startswith(f"`{name.replace('_', '-')}` must ")
    assert value not in problem


def test_every_bad_input_is_named_at_once() -> None:
    bad = {
        "workspace_id": "x",
        "token": "a b",
        "api_url": "x",
        "auth_url": "x",
        "audience": "a\nb",
        "wait": "x",
        "timeout": "x",
        "poll_interval": "x",
        "logs": "x",
        "on_timeout": "x",
        "on_cancel": "x",
        "preflight": "x",
        "verify_source": "x",
        "workspace_directory": "/x",
        "dry_run": "x",
        "on_delete": "x",
        "ca_bundle": "x",
    }
    named = [re.match(r"`([a-z-]+)`", problem) for problem in problems(**bad)]
    assert sorted(match[1] for match in named if match) == sorted(name.replace("_", "-") for name in bad)


def test_a_missing_workspace_is_one_problem() -> None:
    (problem,) = problems(workspace_id="")
    assert problem.startswith("`workspace-id` is missing")


def test_nothing_given_is_one_error_about_workspace_and_credentials() -> None:
    with pytest.raises(BadInput) as caught:
        read_settings({})
    assert [problem.split(" is missing")[0] for problem in caught.value.problems] == ["`workspace-id`", "a credential"]


class TestCredentials:
    """Which combinations can trigger, and which can follow too."""

    def test_a_token_can_sign_in(self) -> None:
        assert settings().can_sign_in

    def test_an_api_key_can_sign_in(self) -> None:
        found = settings(token="", client_id="id", client_secret="secret")
        assert found.api_key == ApiKey("id", "secret")
        assert found.can_sign_in

    def test_a_deployment_secret_alone_cannot_sign_in(self) -> None:
        assert not settings(token="", deployment_secret="secret").can_sign_in

    def test_a_deployment_secret_goes_together_with_a_token(self) -> None:
        found = settings(deployment_secret="secret")
        assert (found.token, found.deployment_secret, found.can_sign_in) == ("t0ken", "secret", True)

    def test_a_deployment_secret_goes_together_with_an_api_key(self) -> None:
        found = settings(token="", client_id="id", client_secret="secret", deployment_secret="hook")
        assert found.can_sign_in
        assert found.deployment_secret == "hook"

    def test_missing_credentials_are_one_problem_that_names_them_all(self) -> None:
        (problem,) = problems(token="")
        for name in CREDENTIALS:
            assert f"`{name}`" in problem

    def test_a_dry_run_needs_no_credential(self) -> None:
        found = settings(token="", dry_run="true")
        assert found.dry_run
        assert not found.can_sign_in

    @pytest.mark.parametrize("wish", ["false", "nonsense"])
    def test_every_other_run_needs_a_credential(self, wish: str) -> None:
        assert any("a credential is missing" in problem for problem in problems(token="", dry_run=wish))

    @pytest.mark.parametrize(("given", "missing"), [("client_id", "client-secret"), ("client_secret", "client-id")])
    def test_half_an_api_key_is_refused(self, given: str, missing: str) -> None:
        (problem,) = problems(**{"token": "", given: "half"})
        assert problem.startswith(f"`{missing}` is missing")

    def test_a_token_does_not_go_together_with_an_api_key(self) -> None:
        (problem,) = problems(client_id="id", client_secret="secret")
        assert "`token`" in problem
        assert "`client-id`" in problem

    def test_a_token_and_half_an_api_key_are_two_problems(self) -> None:
        assert len(problems(client_id="id")) == 2

    def test_strict_verification_needs_to_sign_in(self) -> None:
        (problem,) = problems(token="", deployment_secret="secret", verify_source="error")
        assert problem.startswith("`verify-source`")

    def test_no_secret_shows_in_a_repr(self) -> None:
        found = settings(token="", client_id="key", client_secret="s3cret", deployment_secret="h00k")
        assert "s3cret" not in repr(found)
        assert "h00k" not in repr(found)
        assert "t0ken" not in repr(settings())

    def test_secrets_are_masked_even_if_they_cannot_be_used_and_a_client_id_is_none(self) -> None:
        given = environ(token=" a b ", client_id="acme", client_secret="c\x00d", deployment_secret="f")
        assert read_secrets(given) == ["a b", "c\x00d", "f"]
        assert read_secrets({}) == []


class TestSpelling:
    """The GitHub runner keeps hyphens in variables, others do not."""

    def test_a_name_with_hyphens_is_read(self) -> None:
        assert read_input({"INPUT_WORKSPACE-ID": " x "}, "workspace-id") == "x"

    def test_a_name_with_underscores_is_read(self) -> None:
        assert read_input({"INPUT_WORKSPACE_ID": " x "}, "workspace-id") == "x"

    def test_hyphens_count_first(self) -> None:
        assert read_input({"INPUT_WORKSPACE-ID": "x", "INPUT_WORKSPACE_ID": "y"}, "workspace-id") == "x"

    @pytest.mark.parametrize("blank", ["", " "])
    def test_an_empty_value_with_hyphens_counts_as_given(self, blank: str) -> None:
        assert read_input({"INPUT_CA-BUNDLE": blank, "INPUT_CA_BUNDLE": "y"}, "ca-bundle") == ""

    def test_every_input_is_read_in_both(self) -> None:
        given = environ(
            token="",
            client_id="id",
            client_secret="secret",
            deployment_secret="hook",
            api_url="https://other.example/api",
            auth_url="https://other.example/token",
            poll_interval="5",
            on_timeout="leave",
            on_cancel="leave",
            verify_source="off",
            workspace_directory="data",
            dry_run="true",
            run_pipelines="a",
            on_delete="allow",
        )
        assert read_settings({name.replace("-", "_"): value for name, value in given.items()}) == read_settings(given)


class TestPipelines:
    """`run-pipelines` and `on-delete` need a token, and what goes with them."""

    WEBHOOK: ClassVar = {"token": "", "deployment_secret": "hook"}

    @pytest.mark.parametrize("wish", [{"run_pipelines": "a"}, {"on_delete": "refuse"}], ids=str)
    def test_a_deployment_secret_alone_is_not_enough(self, wish: dict[str, str]) -> None:
        (problem,) = problems(**self.WEBHOOK, **wish)
        assert problem.startswith(f"`{next(iter(wish)).replace('_', '-')}`")
        assert "needs a `token`, or a `client-id` and a `client-secret`" in problem
        assert settings(**self.WEBHOOK, **wish, client_id="id", client_secret="secret").can_sign_in

    @pytest.mark.parametrize("wish", [{"run_pipelines": "a"}, {"on_delete": "refuse"}], ids=str)
    def test_a_dry_run_without_credentials_is_not_refused(self, wish: dict[str, str]) -> None:
        assert settings(token="", dry_run="true", **wish).dry_run

    def test_pipelines_are_run_after_a_deployment_that_is_waited_for(self) -> None:
        (problem,) = problems(run_pipelines="a", wait="false")
        assert problem.startswith("`run-pipelines` needs `wait: true`")

    def test_deletions_are_refused_by_the_files_that_preflight_reads(self) -> None:
        (problem,) = problems(on_delete="refuse", preflight="off")
        assert problem.startswith("`on-delete` as `refuse` needs a `preflight` other than `off`")
        assert settings(on_delete="warn", preflight="off").on_delete is DeletePolicy.WARN


class TestCertificateAuthorities:
    """`ca-bundle` is PEM text, or a PEM file in the checkout."""

    @pytest.fixture
    def pem(self) -> str:
        """The first of the public authorities."""
        return Path(certifi.where()).read_text(encoding="utf-8").partition("\n\n")[0] + "\n"

    def test_pem_text_is_taken(self, pem: str) -> None:
        assert settings(ca_bundle=pem).ca_bundle == pem.strip()

    def test_a_file_in_the_checkout_is_read(self, pem: str, tmp_path: Path) -> None:
        (tmp_path / "certificates").mkdir()
        (tmp_path / "certificates" / "ca.pem").write_text(pem, encoding="ascii")
        given = environ(ca_bundle="certificates/ca.pem") | {"GITHUB_WORKSPACE": str(tmp_path)}
        assert read_settings(given).ca_bundle == pem

    def test_a_file_in_the_working_directory_is_read_if_there_is_no_checkout(
        self, pem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "ca.pem").write_text(pem, encoding="ascii")
        monkeypatch.chdir(tmp_path)
        assert settings(ca_bundle="ca.pem").ca_bundle == pem

    def test_comments_beside_the_certificates_may_have_any_characters(self, pem: str, tmp_path: Path) -> None:
        text = f"# Unsere Zertifizierungsstelle für alle\n{pem}"
        (tmp_path / "ca.pem").write_text(text, encoding="utf-8")
        from_file = read_settings(environ(ca_bundle="ca.pem") | {"GITHUB_WORKSPACE": str(tmp_path)}).ca_bundle
        for bundle in (from_file, settings(ca_bundle=text).ca_bundle):
            assert bundle
            assert bundle.isascii()
            assert pem.strip() in bundle

    @pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff\xfe\x00", b"-----BEGIN CERTIFICATE-----\n"])
    def test_a_file_without_certificates_is_refused(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_bytes(content)
        with pytest.raises(BadInput, match="`ca-bundle` must hold certificates"):
            read_settings(environ(ca_bundle="ca.pem") | {"GITHUB_WORKSPACE": str(tmp_path)})

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="`ca-bundle` must be PEM text, or the path"):
            read_settings(environ(ca_bundle=".") | {"GITHUB_WORKSPACE": str(tmp_path)})

    def test_a_file_that_is_far_too_large_is_refused(self, pem: str, tmp_path: Path) -> None:
        with (tmp_path / "ca.pem").open("wb") as file:
            file.write(pem.encode())
            file.truncate(100 * 1024 * 1024)
        with pytest.raises(BadInput, match="`ca-bundle` must be PEM text, or the path"):
            read_settings(environ(ca_bundle="ca.pem") | {"GITHUB_WORKSPACE": str(tmp_path)})

    @pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
    def test_a_file_with_a_byte_order_mark_is_read(self, pem: str, tmp_path: Path, mark: str) -> None:
        (tmp_path / "ca.pem").write_text(pem, encoding=mark)
        assert read_settings(environ(ca_bundle="ca.pem") | {"GITHUB_WORKSPACE": str(tmp_path)}).ca_bundle == pem

    def test_text_with_a_byte_order_mark_is_taken(self, pem: str) -> None:
        assert settings(ca_bundle=f"\ufeff{pem.strip()}").ca_bundle == pem.strip()


class TestPlacesOfCertificateFiles:
    """A file is read in the checkout, and by its absolute path below `RUNNER_TEMP`; nothing leads out of them."""

    PEM = Path(certifi.where()).read_text(encoding="utf-8").partition("\n\n")[0] + "\n"

    @pytest.fixture
    def places(self, tmp_path: Path) -> dict[str, str]:
        for name in ("checkout/sub", "temp", "elsewhere"):
            (tmp_path / name).mkdir(parents=True)
            (tmp_path / name / "ca.pem").write_text(self.PEM, encoding="ascii")
        for name in ("checkout", "temp"):
            (tmp_path / name / "out").symlink_to(tmp_path / "elsewhere")
            (tmp_path / name / "out.pem").symlink_to(tmp_path / "elsewhere" / "ca.pem")
            (tmp_path / name / "loop.pem").symlink_to("loop.pem")
        (tmp_path / "checkout" / "in.pem").symlink_to("sub/ca.pem")
        return {"GITHUB_WORKSPACE": str(tmp_path / "checkout"), "RUNNER_TEMP": str(tmp_path / "temp")}

    @pytest.mark.parametrize(
        "path", ["sub/ca.pem", "in.pem", "sub/../sub/ca.pem", "{}/checkout/sub/ca.pem", "{}/temp/ca.pem"]
    )
    def test_a_file_inside_is_read(self, tmp_path: Path, places: dict[str, str], path: str) -> None:
        assert read_settings(environ(ca_bundle=path.format(tmp_path)) | places).ca_bundle == self.PEM

    @pytest.mark.parametrize(
        "path",
        [
            "../elsewhere/ca.pem",
            "../temp/ca.pem",
            "out.pem",
            "out/ca.pem",
            "loop.pem",
            "{}/elsewhere/ca.pem",
            "{}/checkout/out.pem",
            "{}/checkout/../elsewhere/ca.pem",
            "{}/temp/out/ca.pem",
            "{}/temp/loop.pem",
            "{}/checkout-of-another/ca.pem",
        ],
    )
    def test_a_file_outside_is_refused(self, tmp_path: Path, places: dict[str, str], path: str) -> None:
        with pytest.raises(BadInput, match="`ca-bundle` must be PEM text, or the path"):
            read_settings(environ(ca_bundle=path.format(tmp_path)) | places)

    @pytest.mark.parametrize("temporary", ["", None])
    def test_without_a_folder_for_temporary_files_only_the_checkout_counts(
        self, tmp_path: Path, places: dict[str, str], temporary: str | None
    ) -> None:
        given = {name: value for name, value in (places | {"RUNNER_TEMP": temporary}).items() if value is not None}
        with pytest.raises(BadInput, match="`ca-bundle` must be PEM text, or the path"):
            read_settings(environ(ca_bundle=f"{tmp_path}/temp/ca.pem") | given)
