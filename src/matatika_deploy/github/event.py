"""The event that started the workflow."""

from collections.abc import Mapping
from pathlib import Path


def push_event(environ: Mapping[str, str]) -> bytes:
    """Return the event's JSON, byte for byte, if it is a push; else `{}`."""
    path = environ.get("GITHUB_EVENT_PATH")
    if environ.get("GITHUB_EVENT_NAME") == "push" and path:
        try:
            # Anything else, such as a device or a pipe, may have no end.
            if Path(path).is_file():
                return Path(path).read_bytes()
        except (OSError, ValueError):
            pass
    return b"{}"
