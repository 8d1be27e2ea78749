"""Inputs become settings, or one error that names every mistake with its cure, and shows no credential."""

from pathlib import Path
from typing import Any

import certifi
import pytest

from matatika_deploy.errors import BadInput
from matatika_deploy.github import inputs
from matatika_deploy.github.inputs import CREDENTIALS, INPUTS, ApiKey, Settings, read_settings

WORKSPACE = "5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e"
DIGITS = WORKSPACE.replace("-", "")
# The first of the public authorities.
PEM = Path(certifi.where()).read_text(encoding="utf-8").strip().partition("\n\n")[0] + "\n"
NO_FILE = "`ca-bundle` must be PEM text, or the path"


def environ(**given: str) -> dict[str, str]:
    """The environment of a step with a workspace and a token, unless others are `given` (by fields)."""
    given = {"workspace_id": WORKSPACE, "token": "t0ken", **given}
    return {f"INPUT_{name.upper().replace('_', '-')}": value for name, value in given.items()}


def settings(**given: str) -> Settings:
    return read_settings(environ(**given))


def problems(**given: str) -> tuple[str, ...]:
    with pytest.raises(BadInput) as caught:
        settings(**given)
    return caught.value.problems


def same(*values: str) -> dict[str, Any]:
    return {value: value for value in values}


# Values of each input; what is blank, and so not given, has the documented default.
ACCEPTED: dict[str, dict[str, Any]] = {
    "workspace_id": {WORKSPACE.upper(): WORKSPACE, DIGITS: WORKSPACE},
    "token": same("a.b-c_d~e+f/g=", "$2y$10$abc", "a$TOKEN"),
    "client_id": {"": None},
    "client_secret": {"": None},
    "deployment_secret": {"": None} | same("sésame%$", "it's", '"', "bearer-of-news"),
    "api_url": {
        **{"": "https://app.matatika.com/api", "https://app.meltano.com/api/": "https://app.meltano.com/api"},
        **same("https://catalog.matatika.com:443/api", "https://[2001:db8::1]:8443/api", "http://localhost:80/api"),
        **same("http://127.1.2.3/api", "http://[::1]:8080/api"),
    },
    "auth_url": {"": "https://identity.matatika.com/oauth/token"} | same("http://127.0.0.1:1"),
    "audience": {"": "https://app.matatika.com/api"} | same("any text, ünicode too"),
    "wait": dict.fromkeys(["", "TRUE", "Yes", "on", "1"], True) | dict.fromkeys(["false", "no", "OFF", "0"], False),
    "timeout": {
        **{"": 1800, "90": 90, "90s": 90, "15m": 900, "2h": 7200, "1H30M": 5400, "1h0m5s": 3605, "1": 1},
        **{"24h": 86400, "86400": 86400},
    },
    "poll_interval": {"": 10, "1s": 1, "5m": 300},
    "logs": {"": "stream", "on-failure": "on-failure", "None": "none"},
    "on_timeout": {"": "withdraw", "leave": "leave"},
    "on_cancel": {"": "withdraw", "Leave": "leave"},
    "preflight": {"": "warn", "error": "error"} | dict.fromkeys(["OFF", "False", "no", "0"], "off"),
    "verify_source": {"": "warn", "ERROR": "error", "false": "off"},
    "workspace_directory": {
        **{"": None, "./data//workspace/": "data/workspace"},
        **same("with space/ünicode", "..data/a..b", ".", "env.d", "inputs.data"),
    },
    "dry_run": {"": False, "true": True},
    "run_pipelines": {"": None, "a,b\n c": "a,b\n c"},
    "on_delete": {"": "warn", "Refuse": "refuse", "allow": "allow"},
    # OpenSSL's binding takes ASCII only.
    "ca_bundle": {"": None, PEM: PEM.strip(), f"\ufeff# für alle\n{PEM}": f"# f?r alle\n{PEM.strip()}"},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_value_is_accepted_with_white_space_around_it(name: str) -> None:
    for value, expected in ACCEPTED[name].items():
        assert getattr(settings(**{name: f" {value}\t\r\n"}), name) == expected, value


def test_input_that_is_absent_has_its_default_and_the_audience_that_of_the_api() -> None:
    assert list(ACCEPTED) == list(Settings._fields) == [one.field for one in INPUTS]
    assert settings() == settings(**dict.fromkeys(list(ACCEPTED)[2:], ""))
    assert settings(api_url="https://app.meltano.com/api/").audience == "https://app.meltano.com/api"


NOT_EXPANDED = "write `${{ secrets.NAME }}`, or `${{ vars.NAME }}`, in the workflow."


def refused(*values: str, cure: str = "") -> dict[str, str]:
    return dict.fromkeys(values, cure)


CREDENTIAL = {
    **refused("one two", "one\ntwo", "one\x00two", "one\x7ftwo", "{{ secrets.TOKEN }}", cure="not have white space"),
    **refused("'s3cret-value'", cure="must not have quotes around it: remove them."),
    **refused("$TOKEN", "${TOKEN}", "$env:token", "%TOKEN%", "secrets.TOKEN", "${{ s.TOKEN }}", cure=NOT_EXPANDED),
    **refused("bearer\ts3cret-value", "Authorization: Bearer s3cret-value", cure="remove `Bearer` before it."),
}
URL = {
    **refused("http://a.example/p", "http://127.0.0.1.example/p", "http://localhost.example/p", "http://2130706433/p"),
    **refused("http://[2001:db8::1]/p", "a.example/path", "//a.example/path", "ftp://a.example/p", "https:///p"),
    **refused("https://:8443/path", "https://user@a.example/p", "https://@a.example/p", "https://a.example/p?"),
    **refused("https://a.example/p#end", "https://a.example/p a", "https://a.example/p\na", "https://a.example\\p"),
    **refused("https://ä.example/p", "https://a.example:port/p", "https://a.example:99999/p", "https://a.example:0/p"),
    **refused("https://[::1/path", "https://a%61.example/p", "https://-a.example/p"),
    **refused("app.matatika.com", "catalog.matatika.com:443/api", "localhost:8080/api", cure="`https://`: add it."),
}
# What goes with a part of an API key.
BESIDE = {"client_id": {"token": "", "client_secret": "fine"}, "client_secret": {"token": "", "client_id": "fine"}}
# For each input: bad values, and, of mistakes that can be recognised, what the error says to do.
REFUSED: dict[str, dict[str, str]] = {
    "workspace_id": {
        # What is no UUID could lead to another address.
        **refused(f"../{WORKSPACE}", f"{WORKSPACE}/../x", f"{WORKSPACE}\n{WORKSPACE}", DIGITS[:-1], f"({WORKSPACE})"),
        **refused(WORKSPACE.replace("5", "\u0665")),
        **{
            f"{place}/{WORKSPACE}{end}": f"without the address around it: {WORKSPACE}."
            for place in ("https://app.meltano.com/workspaces", "https://a.example/Workspace", "app.matatika.com:443")
            for end in ("", "/jobs?a=b")
        },
        f"https://app.matatika.com/jobs/{WORKSPACE}": "the end of the workspace's address in the app.",
        **{f'"{WORKSPACE}"': "remove them.", "vars.WORKSPACE_ID": NOT_EXPANDED},
    },
    "token": CREDENTIAL | refused("one\u200btwo", "tökén", "\ufefftoken"),
    "client_id": refused("one two", "one\x7ftwo"),
    "client_secret": CREDENTIAL,
    "deployment_secret": CREDENTIAL | refused("one\ttwo", "one\x1btwo", "one\udc80two"),
    "api_url": {
        **URL,
        **refused("https://app.meltano.com", cure="did you mean https://app.meltano.com/api?"),
        **refused("https://APP.matatika.com/", cure="did you mean https://app.matatika.com/api?"),
        **refused(f"https://app.matatika.com/workspaces/{WORKSPACE}", cure="https://app.matatika.com/api?"),
        **refused("https://catalog.matatika.com:443", cure="did you mean https://catalog.matatika.com/api?"),
        **refused("vars.API_URL", cure=NOT_EXPANDED),
    },
    "auth_url": URL,
    "audience": refused("one\ntwo", "one\x00two") | refused("vars.AUDIENCE", cure=NOT_EXPANDED),
    "wait": refused("maybe", "2", "true false") | {"'true'": "remove them.", "inputs.wait": NOT_EXPANDED},
    "dry_run": refused("y"),
    "timeout": {
        **refused("0", "0h0m0s", "-5", "24h1s", "86401", "9" * 40, "1.5h", "ten", "10x", "s", "30m1h", "10 m", "inf"),
        **refused("\u0661\u0660m") | refused("inputs.timeout", cure=NOT_EXPANDED),
    },
    "poll_interval": refused("0", "301", "6m"),
    "logs": refused("streams", "true", "false"),
    "on_timeout": refused("stop"),
    "on_cancel": refused("delete"),
    "preflight": refused("true") | {"`off`": "remove them.", "vars.LEVEL": NOT_EXPANDED},
    "verify_source": refused("warning"),
    "on_delete": refused("error"),
    "workspace_directory": {
        **refused("/data", "../data", "data/../../x", "data\\x", "data\nx", "data\x00x"),
        **{"“data”": "remove them.", "$DIRECTORY": NOT_EXPANDED},
    },
    "ca_bundle": refused("missing.pem", "no\x00file", "x" * 5000, PEM[:99]) | {"secrets.CA_PEM": NOT_EXPANDED},
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_value_is_refused_by_the_inputs_name_and_a_recognised_mistake_with_its_cure(name: str) -> None:
    for value, cure in REFUSED[name].items():
        (problem,) = problems(**BESIDE.get(name, {}) | {name: value})
        assert problem.startswith(f"`{name.replace('_', '-')}` must ")
        assert cure in problem, value
        # Some values are so short that they are a part of any sentence.
        assert cure or len(value) < 10 or value not in problem
        assert "s3cret" not in problem


def test_every_bad_input_is_named_at_once_in_sentences_that_end_once() -> None:
    bad = {name: next(iter(values)) for name, values in REFUSED.items() if name not in BESIDE}
    assert [problem.split("`")[1] for problem in problems(**bad)] == [one.name for one in INPUTS if one.field in bad]
    duration = "`timeout` must be a duration like `90s`, `15m` or `1h30m`: more than 0, at most 24h."
    root = "`api-url` must be the root of the API: did you mean https://app.meltano.com/api?"
    what_to_do = "Correct the step's `with:` in the workflow."
    assert problems(timeout="x", api_url="https://app.meltano.com") == (root, duration)
    assert str(BadInput([duration[:-1]])) == f"{duration} {what_to_do}"
    assert str(BadInput([root, duration])) == f"2 mistakes. (1) {root} (2) {duration} {what_to_do}"


def test_number_without_a_unit_is_told_as_seconds() -> None:
    hint = "`timeout: 1440` means 1440 seconds: 1440 minutes are written `1440m`."
    assert inputs.timeout_hint(environ(timeout=" 1440 ")) == hint
    assert not [other for other in ("1441", "30s", "") if inputs.timeout_hint(environ(timeout=other))]


def test_empty_credential_is_told_where_secrets_are_missing() -> None:
    (problem,) = problems(token="")
    assert all(f"`{name}`" in problem for name in CREDENTIALS)
    for said in (problem, *problems(token="", client_id="id")):
        assert said.endswith(
            "is empty: is there a secret of that name in this repository or environment? Workflows of forks and "
            "Dependabot get none."
        )


HOOK: dict[str, str] = {"token": "", "deployment_secret": "hook"}
KEY = {"token": "", "client_id": "id", "client_secret": "s3cret"}
DRY = {"token": "", "dry_run": "true"}


def test_what_is_missing_or_does_not_go_together_is_told() -> None:
    for given, expected in (
        ({"workspace_id": "", "token": ""}, ["`workspace-id` is missing", "a credential is missing"]),
        ({"token": "", "dry_run": "false"}, ["a credential is missing"]),
        ({"token": "", "dry_run": "nonsense"}, ["`dry-run` must be", "a credential is missing"]),
        ({"token": "", "client_id": "half"}, ["`client-secret` is missing"]),
        ({"token": "", "client_secret": "half"}, ["`client-id` is missing"]),
        (KEY | {"token": "t0ken"}, ["`token` does not go together with `client-id` and `client-secret`"]),
        ({"client_id": "id"}, ["`client-secret` is missing", "`token` does not go together"]),
        (HOOK | {"verify_source": "error"}, ["`verify-source` as `error` needs a `token`, or a `client-id`"]),
        (HOOK | {"run_pipelines": "a"}, ["`run-pipelines` needs a `token`, or a `client-id` and a `client-secret`"]),
        (HOOK | {"on_delete": "refuse"}, ["`on-delete` as `refuse` needs a `token`, or a `client-id`"]),
        ({"run_pipelines": "a", "wait": "false"}, ["`run-pipelines` needs `wait: true`"]),
        ({"on_delete": "refuse", "preflight": "off"}, ["`on-delete` as `refuse` needs a `preflight` other than `off`"]),
    ):
        found = problems(**given)
        assert [said[: len(beginning)] for said, beginning in zip(found, expected, strict=True)] == expected
        assert "s3cret" not in str(found)


def test_what_goes_together_is_accepted() -> None:
    for given, can_sign_in in (
        ({"deployment_secret": "hook"}, True),
        (HOOK, False),
        (KEY | HOOK | {"run_pipelines": "a", "on_delete": "refuse", "verify_source": "error"}, True),
        # A dry run needs no credential, whatever it is to check.
        (DRY, False),
        (DRY | {"run_pipelines": "a", "on_delete": "refuse", "verify_source": "error"}, False),
        ({"on_delete": "warn", "preflight": "off"}, True),
    ):
        found = settings(**given)
        assert found.can_sign_in == can_sign_in
        assert found.api_key == (ApiKey("id", "s3cret") if "client_id" in given else None)
        assert found.deployment_secret == given.get("deployment_secret")
        assert not [secret for secret in ("t0ken", "s3cret", "hook") if secret in f"{found!r} {found.api_key!r}"]


def test_secrets_are_masked_even_if_they_cannot_be_used_and_a_client_id_is_none() -> None:
    given = environ(token=" a b ", client_id="acme", client_secret="c\x00d", deployment_secret="f")
    assert inputs.read_secrets(given) == ["a b", "c\x00d", "f"]
    assert inputs.read_secrets({}) == []


def test_name_with_hyphens_counts_before_one_with_underscores() -> None:
    # The GitHub runner keeps hyphens, others do not; an empty value with hyphens counts as given.
    underscores = {"INPUT_CA_BUNDLE": " y "}
    assert inputs.read_input(underscores, "ca-bundle") == "y"
    for value in ("x", "", " "):
        assert inputs.read_input(underscores | {"INPUT_CA-BUNDLE": value}, "ca-bundle") == value.strip()


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """A checkout and a folder for temporary files, each with a PEM file, and with links that lead out."""
    for name in ("checkout/sub", "temp", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "ca.pem").write_text(PEM, encoding="ascii")
    for name in ("checkout", "temp"):
        (tmp_path / name / "out").symlink_to(tmp_path / "elsewhere")
        (tmp_path / name / "out.pem").symlink_to(tmp_path / "elsewhere/ca.pem")
        (tmp_path / name / "loop.pem").symlink_to("loop.pem")
    (tmp_path / "checkout/in.pem").symlink_to("sub/ca.pem")
    return {"GITHUB_WORKSPACE": str(tmp_path / "checkout"), "RUNNER_TEMP": str(tmp_path / "temp")}


def certificates(path: str, places: dict[str, str]) -> str:
    """What is read from a file of certificates, or the error."""
    try:
        return str(read_settings(environ(ca_bundle=path) | places).ca_bundle)
    except BadInput as error:
        return error.problems[0]


def test_file_of_certificates_is_read_inside_alone(
    tmp_path: Path, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = ("sub/ca.pem", "in.pem", "sub/../sub/ca.pem", f"{tmp_path}/checkout/sub/ca.pem", f"{tmp_path}/temp/ca.pem")
    assert [path for path in inside if certificates(path, places) != PEM] == []
    outside = [
        *("../elsewhere/ca.pem", "../temp/ca.pem", "out.pem", "out/ca.pem", "loop.pem", ".", "{}/elsewhere/ca.pem"),
        *("{}/checkout/../elsewhere/ca.pem", "{}/temp/out/ca.pem", "{}/temp/loop.pem", "{}/checkout-of-another/ca.pem"),
    ]
    assert [path for path in outside if not certificates(path.format(tmp_path), places).startswith(NO_FILE)] == []
    for others in ({**places, "RUNNER_TEMP": ""}, {"GITHUB_WORKSPACE": places["GITHUB_WORKSPACE"]}):
        assert certificates(f"{tmp_path}/temp/ca.pem", others).startswith(NO_FILE)
    # Where no checkout is known, the working directory counts.
    monkeypatch.chdir(places["GITHUB_WORKSPACE"])
    assert certificates("sub/ca.pem", {}) == PEM


def test_file_of_certificates_is_read_in_any_unicode_unless_it_has_none_or_is_far_too_large(
    tmp_path: Path, places: dict[str, str]
) -> None:
    path = tmp_path / "checkout/ca.pem"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text(f"# für alle\n{PEM}", encoding=encoding)
        assert certificates("ca.pem", places).endswith(PEM)
    for content in (b"", b"no certificate", b"\xff\xfe\x00", b"-----BEGIN CERTIFICATE-----\n"):
        path.write_bytes(content)
        assert certificates("ca.pem", places).startswith("`ca-bundle` must hold certificates")
    path.write_bytes(PEM.encode() + bytes(5 * 1024 * 1024))
    assert certificates("ca.pem", places).startswith(NO_FILE)
