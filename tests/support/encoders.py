"""How a secret may be encoded in text from elsewhere. Every encoder is Python's own, or written out anew."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

Encoder = Callable[[str], str]


def utf_16(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ENCODERS: dict[str, Encoder] = {
    "plain": str,
    "upper case": str.upper,
    "percent": lambda text: quote(text, safe=""),
    "percent, lower hex": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "query": lambda text: urlencode({"access_token": text}),
    "percent, %u": lambda text: "".join(f"%u{unit:04X}" for unit in utf_16(text)),
    "HTML": html.escape,
    "HTML, decimal": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML, hex": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, \\/": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, \\u": lambda text: "".join(f"\\u{unit:04x}" for unit in utf_16(text)),
    "Python": lambda text: repr(text)[1:-1],
    "JavaScript, \\x": lambda text: "".join(f"\\x{ord(c):02X}" if ord(c) < 256 else f"\\u{{{ord(c):x}}}" for c in text),
    "invisible characters": lambda text: "\u200b".join(text),
    "line by line": lambda text: "\r\n".join(text),
}
BASE64_ENCODERS: dict[str, Encoder] = {
    "base64": in_base64,
    "after 1 byte": lambda text: in_base64(f":{text}:"),
    "after 2 bytes": lambda text: in_base64(f"??{text}?"),
    "Basic": lambda text: in_base64(f"client-id:{text}"),
    "base64url": lambda text: base64.urlsafe_b64encode(f"??{text}".encode()).decode().rstrip("="),
    "MIME": lambda text: base64.encodebytes(f"Authorization: Bearer {text}\n".encode()).decode(),
}
