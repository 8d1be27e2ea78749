"""Start the simulator for the next steps of a workflow, with TLS and a certificate authority of its own.

`python -m tools.simulated_platform ADDRESS SCENARIO` writes the step outputs `api-url`, `auth-url`, `token` and
`ca-bundle` (a file in the working directory), and `pid`, the simulator's process, which runs on until somebody ends it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from matatika_simulator import constants

AUTHORITY = "simulated-authority.pem"
_DAYS = "2"
_CURVE = ("-pkeyopt", "ec_paramgen_curve:P-256")


def main(address: str, scenario: str) -> int:
    """Start the simulator and leave it running."""
    folder = Path(tempfile.mkdtemp(prefix="simulated-platform-"))
    certificate, key = _certify(folder, address)
    with (folder / "log").open("wb") as log:
        simulator = subprocess.Popen(
            [
                *(sys.executable, "-m", "matatika_simulator", "--host", address, "--scenario", scenario),
                *("--tls", certificate, key),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Neither the end of this step nor a signal to it may reach the simulator.
            start_new_session=True,
        )
    if simulator.stdout is None or not (url := simulator.stdout.readline().strip()):
        sys.stdout.write((folder / "log").read_text(encoding="utf-8"))
        return 1
    outputs = {
        "api-url": f"{url}/api",
        "auth-url": f"{url}/oauth/token",
        "token": constants.TOKEN,
        "ca-bundle": AUTHORITY,
        "pid": str(simulator.pid),
    }
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in outputs.items())
    sys.stdout.write(f"The simulator listens at {url}\n")
    return 0


def _certify(folder: Path, address: str) -> tuple[str, str]:
    """Make an authority, and a certificate of its own for an IPv4 address; gives certificate and key."""
    authority, authority_key = Path(AUTHORITY), folder / "authority.key"
    certificate, key = folder / "server.pem", folder / "server.key"
    _openssl(
        *("-keyout", str(authority_key), "-out", str(authority), "-subj", "/CN=Simulated authority"),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"),
    )
    _openssl(
        *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=Simulated platform"),
        *("-CA", str(authority), "-CAkey", str(authority_key)),
        *("-addext", f"subjectAltName=IP:{address}", "-addext", "basicConstraints=critical,CA:FALSE"),
    )
    return str(certificate), str(key)


def _openssl(*arguments: str) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-days",
        _DAYS,
        "-nodes",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]
    subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
