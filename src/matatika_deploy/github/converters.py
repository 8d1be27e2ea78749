"""What may be written for an input, and the mistakes that are recognised.

A converter takes an input's text, without white space around it and not empty, and gives its value. It raises
`ValueError` with the sentence that follows the input's name: what was expected, and how to get there. A credential
never stands in it.
"""

import codecs
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(r"(?=\d)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?|(\d{1,9})", re.ASCII)
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1", re.ASCII)
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?|(?=[0-9a-f.]*:)[0-9a-f:.]+", re.ASCII)
_CLOUDS = ("app.matatika.com", "app.meltano.com", "catalog.matatika.com")
_QUOTES = ('""', "''", "``", "“”")
# A variable of a shell, and an expression of a workflow, that nothing has replaced by its value.
_VARIABLE = re.compile(r"\$\{?[A-Z_][A-Z0-9_]*\}?|\$env:\w+|%[A-Z_][A-Z0-9_]*%", re.ASCII)
_EXPRESSION = re.compile(r"(?:secrets|vars|env|inputs)\.\w+", re.ASCII)
_NOT_EXPANDED = (
    "must be a value, and is the name of one: write `${{ secrets.NAME }}`, or `${{ vars.NAME }}`, in the workflow"
)
_PEM = "-----BEGIN "
_MOST_PEM_BYTES = 4 * 1024 * 1024


class Choice(StrEnum):
    """The values of an input that has few, in any case; where `off` is one, what means false means `off` as well."""

    @classmethod
    def _missing_(cls, value: object) -> "Choice":
        text = str(value).lower()
        if _BOOLEANS.get(text) is False and "off" in list(cls):
            text = "off"
        for choice in cls:
            if choice == text:
                return choice
        raise ValueError(_hinting(f"must be one of {', '.join(f'`{choice}`' for choice in cls)}", text))


def check_spelling(value: str) -> None:
    """Refuse what is a mistake in any input: quotes that belong to another language, and names instead of values."""
    if len(value) > 1 and value[0] + value[-1] in _QUOTES:
        raise ValueError("must not have quotes around it: remove them")
    if "${{" in value or _VARIABLE.fullmatch(value):
        raise ValueError(_NOT_EXPANDED)


def uuid(value: str) -> str:
    """Give a UUID in lower case with hyphens, be it written with or without them."""
    if _UUID.fullmatch(value):
        digits = value.replace("-", "").lower()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    before = r"/workspaces?|^(?:https?://)?[a-z0-9.-]+\.[a-z]+(?::\d+)?"
    in_address = re.search(rf"(?:{before})/({_UUID.pattern})(?![^/?#])", value, _UUID.flags)
    if in_address:
        raise ValueError(f"must be the UUID alone, without the address around it: {in_address[1]}")
    raise ValueError(
        _hinting(
            "must be a UUID, like 5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e: the end of the workspace's address in the app",
            value,
        )
    )


def credential(value: str) -> str:
    """Give a credential as it is."""
    if _EXPRESSION.fullmatch(value):
        raise ValueError(_NOT_EXPANDED)
    if re.match(r"(?:authorization:\s*)?bearer\s", value, re.IGNORECASE):
        raise ValueError("must be the token alone: remove `Bearer` before it")
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("must not have white space or control characters inside: was it copied whole, on one line?")
    return value


def token(value: str) -> str:
    """Give an access token as it is."""
    if not value.isascii():
        raise ValueError("must be an access token, which has ASCII characters only")
    return credential(value)


def printable(value: str) -> str:
    """Give one line of any text."""
    if _EXPRESSION.fullmatch(value):
        raise ValueError(_NOT_EXPANDED)
    if not value.isprintable():
        raise ValueError("must be one line without control characters")
    return value


def boolean(value: str) -> bool:
    """Give the truth of `true`, `false` and other words for them."""
    if value.lower() not in _BOOLEANS:
        raise ValueError(_hinting("must be `true` or `false`", value))
    return _BOOLEANS[value.lower()]


def duration(least: int, most: int, bounds: str) -> Callable[[str], int]:
    """Give a converter to seconds; `bounds` names `least` and `most` (seconds) for people."""

    def convert(value: str) -> int:
        match = _DURATION.fullmatch(value.lower())
        hours, minutes, seconds, bare = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, -1)
        total = hours * 3600 + minutes * 60 + seconds + bare
        if not least <= total <= most:
            raise ValueError(_hinting(f"must be a duration like `90s`, `15m` or `1h30m`: {bounds}", value))
        return total

    return convert


def url(value: str) -> str:
    """Give an `https` URL (or `http` to a loopback address) without its final slash."""
    if any(ord(character) <= ord(" ") or ord(character) > ord("~") or character == "\\" for character in value):
        raise ValueError("must be a URL of ASCII characters, without spaces, control characters and backslashes")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("must be a URL, like `https://app.matatika.com/api`") from None
    if re.match(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:[:/]|$)|localhost(?:[:/]|$)", value, re.IGNORECASE):
        raise ValueError("must begin with `https://`: add it")
    if parts.scheme not in ("https", "http") or not _HOST.fullmatch(host) or port == 0:
        raise ValueError(_hinting("must be an https URL, like `https://app.matatika.com/api`", value))
    if "@" in parts.netloc:
        raise ValueError("must not hold credentials: use the inputs for them")
    if "?" in value or "#" in value:
        raise ValueError("must not have a query or a fragment")
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
        raise ValueError("must use https: http is for loopback addresses only")
    return value.rstrip("/")


def api_url(value: str) -> str:
    """Give the root of an API, which for the known clouds is `/api`."""
    address = url(value)
    parts = urlsplit(address)
    if parts.hostname in _CLOUDS and parts.path != "/api":
        raise ValueError(f"must be the root of the API: did you mean https://{parts.hostname}/api?")
    return address


def folder(value: str) -> str:
    """Give a folder relative to the checkout; `.` is the checkout itself."""
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if not value.isprintable() or value.startswith("/") or "\\" in value or ".." in parts:
        raise ValueError("must be a folder inside the checkout, relative to its root, with `/` and without `..`")
    return "/".join(parts) or "."


def certificates(value: str, environ: Mapping[str, str]) -> str:
    """Give the PEM text of certificate authorities, be it `value` itself or in the file that it names."""
    text = value if _PEM in value else _read_pem_file(value, environ)
    # Comments between the certificates may have any characters, which OpenSSL's binding does not take.
    text = text.lstrip("\ufeff").encode("ascii", "replace").decode()
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ValueError("must hold certificates in PEM form (`-----BEGIN CERTIFICATE-----` ...)") from None
    return text


def _read_pem_file(name: str, environ: Mapping[str, str]) -> str:
    """Read a file in the checkout, or one that is named by its absolute path below the checkout or `RUNNER_TEMP`."""
    checkout, temporary = Path(environ.get("GITHUB_WORKSPACE") or "."), environ.get("RUNNER_TEMP")
    folders = [checkout, Path(temporary)] if temporary and Path(name).is_absolute() else [checkout]
    try:
        path = (checkout / name).resolve()
        is_inside = any(path.is_relative_to(folder.resolve()) for folder in folders)
        if is_inside and path.is_file() and path.stat().st_size <= _MOST_PEM_BYTES:
            content = path.read_bytes()
            is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            return content.decode("utf-16" if is_utf_16 else "utf-8", "replace")
    except (OSError, ValueError, RuntimeError):
        pass
    raise ValueError(
        _hinting(
            "must be PEM text, or the path of a PEM file of at most 4 MiB in the checkout (or an absolute path below "
            "`GITHUB_WORKSPACE` or `RUNNER_TEMP`), and no link that leads elsewhere",
            name,
        )
    )


def _hinting(expected: str, value: str) -> str:
    """Say what was expected, or the cure if `value` is the name of a secret or variable."""
    return _NOT_EXPANDED if _EXPRESSION.fullmatch(value) else expected
