"""The inputs: one table of them, and how `INPUT_*` is read into one frozen `Settings`, or every mistake at once.

Masks, error texts, `Settings`, and the tests of `action.yml`, `action-types.yml` and README come from the table.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from matatika_deploy.errors import BadInput
from matatika_deploy.github import converters
from matatika_deploy.github.converters import Choice

_MAY_BE_EMPTY = (
    "If the step gives it, it is empty: is there a secret of that name in this repository or environment? Workflows of "
    "forks and Dependabot get none"
)


class Logs(Choice):
    """What to do with the job's log."""

    STREAM = "stream"
    ON_FAILURE = "on-failure"
    NONE = "none"


class JobPolicy(Choice):
    """What to do with the job when the step ends before it."""

    WITHDRAW = "withdraw"
    LEAVE = "leave"


class Strictness(Choice):
    """What a check's finding of level error does."""

    ERROR = "error"
    WARN = "warn"
    OFF = "off"


class DeletePolicy(Choice):
    """What to do if the deployment would delete a pipeline."""

    WARN = "warn"
    REFUSE = "refuse"
    ALLOW = "allow"


class Input(NamedTuple):
    """One input: its name, how its text becomes a value, its default as text, and what it means.

    `convert` raises `ValueError` with what was expected; see `converters`. An input without a default is None in
    `Settings` unless it was given. A secret is masked, and shows in no `repr`.
    """

    name: str
    convert: Callable[[str], Any]
    default: str
    meaning: str
    is_secret: bool = False

    @property
    def field(self) -> str:
        """The name of its field in `Settings`."""
        return self.name.replace("-", "_")


INPUTS = (
    Input("workspace-id", converters.uuid, "", "UUID of the workspace to deploy"),
    Input("token", converters.token, "", "Access token", is_secret=True),
    Input("client-id", converters.credential, "", "Client id of an API key"),
    Input("client-secret", converters.credential, "", "Client secret of the API key", is_secret=True),
    Input("deployment-secret", converters.credential, "", "Deployment secret of the workspace", is_secret=True),
    Input("api-url", converters.api_url, "https://app.matatika.com/api", "Root of the platform's API"),
    Input("auth-url", converters.url, "https://identity.matatika.com/oauth/token", "Token endpoint for the API key"),
    Input("audience", converters.printable, "", "Audience of the API key's access token"),
    Input("wait", converters.boolean, "true", "Follow the job to its end and take its result as the step's"),
    Input(
        "timeout",
        converters.duration(1, 24 * 3600, "more than 0, at most 24h"),
        "30m",
        "How long the whole step may take",
    ),
    Input(
        "poll-interval",
        converters.duration(1, 300, "1s to 5m"),
        "10s",
        "The longest pause between two looks at the job",
    ),
    Input("logs", Logs, "stream", "What to do with the job's log"),
    Input("on-timeout", JobPolicy, "withdraw", "What to do with a job that outlasts the timeout"),
    Input("on-cancel", JobPolicy, "withdraw", "What to do with the job when the step is cancelled"),
    Input("preflight", Strictness, "warn", "Check the YAML files of the checked-out workspace first"),
    Input("verify-source", Strictness, "warn", "Compare what the workspace deploys with what this workflow runs for"),
    Input("workspace-directory", converters.folder, "", "Folder of the workspace inside the checkout"),
    Input("dry-run", converters.boolean, "false", "Do every check, sign-in included, and trigger nothing"),
    Input("run-pipelines", str, "", "Pipelines to run, one after the other, once the deployment has succeeded"),
    Input("on-delete", DeletePolicy, "warn", "What to do if the deployment would delete a pipeline"),
    Input("ca-bundle", str, "", "Certificate authorities to trust beside the public ones"),
)
CREDENTIALS = ("token", "client-id", "client-secret", "deployment-secret")


class ApiKey(NamedTuple):
    """A client id and its secret, to be exchanged for an access token."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"ApiKey(client_id={self.client_id!r})"


class Settings(NamedTuple):
    """The value of every input; durations in seconds, URLs without a final slash, absent values None.

    `ca_bundle` is the PEM text itself. No secret shows in the `repr`.
    """

    workspace_id: str
    token: str | None
    client_id: str | None
    client_secret: str | None
    deployment_secret: str | None
    api_url: str
    auth_url: str
    audience: str
    wait: bool
    timeout: float
    poll_interval: float
    logs: Logs
    on_timeout: JobPolicy
    on_cancel: JobPolicy
    preflight: Strictness
    verify_source: Strictness
    workspace_directory: str | None
    dry_run: bool
    run_pipelines: str | None
    on_delete: DeletePolicy
    ca_bundle: str | None

    def __repr__(self) -> str:
        secrets = {one.field: None for one in INPUTS if one.is_secret}
        values = {**self._asdict(), **secrets}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    @property
    def api_key(self) -> ApiKey | None:
        """The API key, if there is one."""
        return ApiKey(self.client_id, self.client_secret) if self.client_id and self.client_secret else None

    @property
    def can_sign_in(self) -> bool:
        """Whether calls that need a token can be made: following, listing, withdrawing."""
        return self.token is not None or self.api_key is not None


def read_input(environ: Mapping[str, str], name: str) -> str:
    """Give the text of an input without white space around it, or "" if it was not given.

    The GitHub runner keeps hyphens in `INPUT_WORKSPACE-ID`; others turn them into underscores, a name that an earlier
    step can set as well. So it counts only where the name with hyphens is absent.
    """
    hyphens = f"INPUT_{name.upper()}"
    return environ.get(hyphens, environ.get(hyphens.replace("-", "_"), "")).strip()


def read_secrets(environ: Mapping[str, str]) -> list[str]:
    """Give every secret that was given, usable or not."""
    values = (read_input(environ, one.name) for one in INPUTS if one.is_secret)
    return [value for value in values if value]


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check all inputs.

    Raises:
        BadInput: naming every input that cannot be used, and no credential.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for one in INPUTS:
        given = read_input(environ, one.name)
        convert = partial(converters.certificates, environ=environ) if one.name == "ca-bundle" else one.convert
        try:
            converters.check_spelling(given)
            values[one.field] = convert(given or one.default) if given or one.default else None
        except ValueError as problem:
            problems.append(f"`{one.name}` {problem}")
    problems += _problems_together({one.name for one in INPUTS if read_input(environ, one.name)}, values)
    if problems:
        raise BadInput(problems)
    return Settings(**{**values, "audience": values["audience"] or values["api_url"]})


def timeout_hint(environ: Mapping[str, str]) -> str:
    """Give a sentence for a timeout that ran out: a number without a unit may have been meant as minutes; "" if not."""
    given = read_input(environ, "timeout")
    if not given.isdecimal() or int(given) > 24 * 60:
        return ""
    return f"`timeout: {given}` means {given} seconds: {given} minutes are written `{given}m`."


def _problems_together(given: set[str], values: Mapping[str, Any]) -> list[str]:
    """What is missing, or does not go together, whatever the values are."""
    problems = []
    if "workspace-id" not in given:
        problems.append(
            "`workspace-id` is missing: give the UUID of the workspace. If the step gives it, it is empty: is there a "
            "variable of that name in this repository or environment?"
        )
    for name, other in (("client-id", "client-secret"), ("client-secret", "client-id")):
        if name in given and other not in given:
            problems.append(f"`{other}` is missing: `{name}` needs it. {_MAY_BE_EMPTY}")
    if "token" in given and given & {"client-id", "client-secret"}:
        problems.append("`token` does not go together with `client-id` and `client-secret`: give one or the other")
    if not given.intersection(CREDENTIALS) and not values.get("dry_run"):
        problems.append(
            "a credential is missing: `token`, or `client-id` and `client-secret`, or `deployment-secret`. "
            f"{_MAY_BE_EMPTY}"
        )
    can_sign_in = "token" in given or {"client-id", "client-secret"} <= given
    if values.get("verify_source") is Strictness.ERROR and not (can_sign_in or values.get("dry_run")):
        problems.append("`verify-source` as `error` needs a `token`, or a `client-id` and a `client-secret`")
    if "run-pipelines" in given and not (can_sign_in or values.get("dry_run")):
        problems.append("`run-pipelines` needs a `token`, or a `client-id` and a `client-secret`")
    if "run-pipelines" in given and values.get("wait") is False:
        problems.append("`run-pipelines` needs `wait: true`: pipelines run after the deployment")
    if values.get("on_delete") is DeletePolicy.REFUSE:
        if not (can_sign_in or values.get("dry_run")):
            problems.append("`on-delete` as `refuse` needs a `token`, or a `client-id` and a `client-secret`")
        if values.get("preflight") is Strictness.OFF:
            problems.append("`on-delete` as `refuse` needs a `preflight` other than `off`, which reads the files")
    return problems
