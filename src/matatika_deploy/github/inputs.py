"""The inputs: `INPUT_*` read into one frozen `Settings`, or every mistake at once."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from matatika_deploy.errors import BadInput

# Masked in the workflow's log, whatever else is wrong with them.
SECRET_INPUTS = ("token", "client-id", "client-secret", "deployment-secret")

DEFAULTS = {
    "api-url": "https://app.matatika.com/api",
    "auth-url": "https://identity.matatika.com/oauth/token",
    "wait": "true",
    "timeout": "30m",
    "poll-interval": "10s",
    "logs": "stream",
    "on-timeout": "withdraw",
    "on-cancel": "withdraw",
    "preflight": "warn",
    "verify-source": "warn",
    "dry-run": "false",
}

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(r"(?=\d)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?|(\d{1,9})", re.ASCII)
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1", re.ASCII)
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?|[0-9a-f:.]*:[0-9a-f:.]*", re.ASCII)
_PEM = "-----BEGIN "
_MOST_PEM_BYTES = 4 * 1024 * 1024

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)


class Logs(StrEnum):
    """What to do with the job's log."""

    STREAM = "stream"
    ON_FAILURE = "on-failure"
    NONE = "none"


class Ending(StrEnum):
    """What to do with the job when the step ends before it."""

    WITHDRAW = "withdraw"
    LEAVE = "leave"


class Strictness(StrEnum):
    """How much a check's finding of level error weighs."""

    ERROR = "error"
    WARN = "warn"
    OFF = "off"


class ApiKey(NamedTuple):
    """A client id and its secret, to be exchanged for an access token."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"ApiKey(client_id={self.client_id!r})"


class Settings(NamedTuple):
    """Everything that a user can set; durations in seconds, URLs without a final slash, absent values None.

    `ca_bundle` is the PEM text itself. No secret shows in the `repr`.
    """

    workspace_id: str
    token: str | None
    api_key: ApiKey | None
    deployment_secret: str | None
    api_url: str
    auth_url: str
    audience: str
    wait: bool
    timeout: float
    poll_interval: float
    logs: Logs
    on_timeout: Ending
    on_cancel: Ending
    preflight: Strictness
    verify_source: Strictness
    workspace_directory: str | None
    dry_run: bool
    ca_bundle: str | None

    def __repr__(self) -> str:
        shown = self._replace(token=None, deployment_secret=None)._asdict()
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def can_sign_in(self) -> bool:
        """Whether calls that need a token can be made: following, listing, withdrawing."""
        return self.token is not None or self.api_key is not None


def read_input(environ: Mapping[str, str], name: str) -> str:
    """Give the value of an input without white space around it, or "" if it was not given.

    The GitHub runner keeps hyphens in `INPUT_WORKSPACE-ID`; other runners turn them into underscores.
    """
    hyphens = f"INPUT_{name.upper()}"
    return environ.get(hyphens, "").strip() or environ.get(hyphens.replace("-", "_"), "").strip()


def read_secrets(environ: Mapping[str, str]) -> list[str]:
    """Give every credential that was given, usable or not."""
    values = (read_input(environ, name) for name in SECRET_INPUTS)
    return [value for value in values if value]


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check all inputs.

    Raises:
        BadInput: naming every input that cannot be used, and never a value.
    """
    problems: list[str] = []

    def take(name: str, convert: Callable[[str], T], absent: T) -> T:
        value = read_input(environ, name) or DEFAULTS.get(name, "")
        try:
            return convert(value) if value else absent
        except ValueError as problem:
            problems.append(f"`{name}` {problem}")
            return absent

    if not read_input(environ, "workspace-id"):
        problems.append("`workspace-id` is missing: the UUID of the workspace")
    dry_run = take("dry-run", _boolean, False)
    problems += _sign_in_problems(environ, needed=not dry_run)
    client_id = take("client-id", _credential, "")
    client_secret = take("client-secret", _credential, "")
    api_url = take("api-url", _url, "")
    checkout = Path(environ.get("GITHUB_WORKSPACE") or ".")
    settings = Settings(
        workspace_id=take("workspace-id", _uuid, ""),
        token=take("token", _token, None),
        api_key=ApiKey(client_id, client_secret) if client_id and client_secret else None,
        deployment_secret=take("deployment-secret", _credential, None),
        api_url=api_url,
        auth_url=take("auth-url", _url, ""),
        audience=take("audience", _one_line, api_url),
        wait=take("wait", _boolean, True),
        timeout=take("timeout", lambda value: _duration(value, 1, 24 * 3600, "more than 0, at most 24h"), 0),
        poll_interval=take("poll-interval", lambda value: _duration(value, 1, 300, "1s to 5m"), 0),
        logs=take("logs", lambda value: _choice(value, Logs), Logs.STREAM),
        on_timeout=take("on-timeout", lambda value: _choice(value, Ending), Ending.WITHDRAW),
        on_cancel=take("on-cancel", lambda value: _choice(value, Ending), Ending.WITHDRAW),
        preflight=take("preflight", lambda value: _choice(value, Strictness), Strictness.WARN),
        verify_source=take("verify-source", lambda value: _choice(value, Strictness), Strictness.WARN),
        workspace_directory=take("workspace-directory", _directory, None),
        dry_run=dry_run,
        ca_bundle=take("ca-bundle", lambda value: _ca_bundle(value, checkout), None),
    )
    if settings.verify_source is Strictness.ERROR and not (settings.can_sign_in or dry_run):
        problems.append("`verify-source` as `error` needs `token`, or `client-id` and `client-secret`")
    if problems:
        raise BadInput(problems)
    return settings


def _sign_in_problems(environ: Mapping[str, str], *, needed: bool) -> list[str]:
    """What is wrong with the combination of credentials, apart from their values."""
    given = {name for name in SECRET_INPUTS if read_input(environ, name)}
    problems = []
    for name, other in (("client-id", "client-secret"), ("client-secret", "client-id")):
        if name in given and other not in given:
            problems.append(f"`{other}` is missing: `{name}` needs it")
    if "token" in given and given & {"client-id", "client-secret"}:
        problems.append("`token` does not go together with `client-id` and `client-secret`: give one or the other")
    if needed and not given:
        problems.append("a credential is missing: `token`, or `client-id` and `client-secret`, or `deployment-secret`")
    return problems


def _uuid(value: str) -> str:
    if not _UUID.fullmatch(value):
        raise ValueError("must be a UUID, like 5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e")
    return value.lower()


def _credential(value: str) -> str:
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("must not have white space or control characters inside: was it copied whole, on one line?")
    return value


def _token(value: str) -> str:
    if not value.isascii():
        raise ValueError("must be an access token, which has ASCII characters only")
    return _credential(value)


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one line without control characters")
    return value


def _boolean(value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise ValueError("must be `true` or `false`")
    return _BOOLEANS[value.lower()]


def _duration(value: str, least: int, most: int, bounds: str) -> int:
    """Give the seconds that `90`, `90s`, `15m`, `2h` or `1h30m` mean."""
    match = _DURATION.fullmatch(value.lower())
    hours, minutes, seconds, bare = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, -1)
    total = hours * 3600 + minutes * 60 + seconds + bare
    if not least <= total <= most:
        raise ValueError(f"must be a duration like `90s`, `15m` or `1h30m`: {bounds}")
    return total


def _choice(value: str, choices: type[Choice]) -> Choice:
    try:
        return choices(value.lower())
    except ValueError:
        raise ValueError(f"must be one of {', '.join(f'`{choice}`' for choice in choices)}") from None


def _url(value: str) -> str:
    """Give an `https` URL (or `http` to a loopback address) without its final slash."""
    if any(ord(character) <= ord(" ") or ord(character) > ord("~") or character == "\\" for character in value):
        raise ValueError("must be a URL of ASCII characters, without spaces, control characters and backslashes")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("must be a URL, like https://app.matatika.com/api") from None
    if parts.scheme not in ("https", "http") or not _HOST.fullmatch(host) or port == 0:
        raise ValueError("must be an https URL, like https://app.matatika.com/api")
    if "@" in parts.netloc:
        raise ValueError("must not hold credentials: use the inputs for them")
    if "?" in value or "#" in value:
        raise ValueError("must not have a query or a fragment")
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
        raise ValueError("must use https: http is for loopback addresses only")
    return value.rstrip("/")


def _directory(value: str) -> str:
    """Give a folder relative to the checkout; `.` is the checkout itself."""
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if not value.isprintable() or value.startswith("/") or "\\" in value or ".." in parts:
        raise ValueError("must be a folder inside the checkout, relative to its root, with `/` and without `..`")
    return "/".join(parts) or "."


def _ca_bundle(value: str, checkout: Path) -> str:
    """Give the PEM text, be it the value itself or in the file that it names."""
    text = value if _PEM in value else _read_pem_file(checkout / value)
    # Comments between the certificates may have any characters, which OpenSSL's binding does not take.
    text = text.encode("ascii", "replace").decode()
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ValueError("must hold certificates in PEM form (`-----BEGIN CERTIFICATE-----` ...)") from None
    return text


def _read_pem_file(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size <= _MOST_PEM_BYTES:
            return path.read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError):
        pass
    raise ValueError(
        "must be PEM text, or the path of a PEM file in the checkout: there is no such file of at most 4 MiB"
    )
