"""A certificate that nobody knows."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from pathlib import Path


def tls_context() -> ssl.SSLContext:
    """A server's side of TLS, with a self-signed certificate for 127.0.0.1 made by the program `openssl`.

    Raises:
        FileNotFoundError: There is no `openssl`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=loopback"]
        made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(made, check=True, capture_output=True, timeout=60)
        context.load_cert_chain(certificate, key)
    return context
