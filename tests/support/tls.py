"""A certificate for this machine's loopback, which no public authority has signed."""

import subprocess
from pathlib import Path


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1 and its key, as PEM files in a folder."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=Simulated authority", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", certificate, "-keyout", key),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def openssl_conf(module: str) -> str:
    """Return a configuration with which OpenSSL opens the module, and fails if it is none."""
    return f"""
config_diagnostics = 1
openssl_conf = all
[all]
providers = of_the_workflow
[of_the_workflow]
stranger = stranger
[stranger]
module = {module}
activate = 1
"""
