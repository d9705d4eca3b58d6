"""The certificate that the server shows where it encrypts: one that was given, or one that it signs itself."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.filing import private_folder

_DAYS: Final = 365
_RENEW_S: Final = 30 * 86_400.0
_PATIENCE_S: Final = 30


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate and its key, PEM. ConfigError: they cannot be used."""

    certificate: Path
    key: Path

    def __post_init__(self) -> None:
        """Load them once, so that a mistake is told before anything starts."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            why = error.strerror or error.args[-1]
            raise ConfigError([f"cannot use {self.certificate} with {self.key}: {why}; expected PEM files"]) from error


def chosen_tls(certificate: Path | None, key: Path | None, *, self_signed: bool, folder: Path) -> TlsFiles | None:
    """Return what the options ask for, None: no encryption. folder: where self-signed files are kept."""
    if self_signed and (certificate or key):
        raise ConfigError(["found --tls-self-signed beside --tls-cert or --tls-key, expected one or the other"])
    if self_signed:
        return self_signed_files(folder)
    if (certificate is None) is not (key is None):
        raise ConfigError(["found one of --tls-cert and --tls-key, expected both"])
    return None if certificate is None or key is None else TlsFiles(certificate, key)


def self_signed_files(folder: Path) -> TlsFiles:
    """Return the certificate of this machine's names and addresses; `openssl` makes it where there is none yet."""
    private_folder(folder)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    fresh = certificate.is_file() and time.time() - certificate.stat().st_mtime < _DAYS * 86_400 - _RENEW_S
    if fresh and key.is_file():
        return TlsFiles(certificate, key)
    program = shutil.which("openssl")
    if program is None:
        raise ConfigError(
            ["--tls-self-signed: found no openssl, which makes the certificate; install it, or use --tls-cert"]
        )
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(_DAYS)]
    names = ["-subj", f"/CN={socket.gethostname()[:60]}", "-addext", f"subjectAltName={','.join(_names())}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = [program, "req", "-x509", *made, *names, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)  # noqa: S603 - names of this machine
    if done.returncode:
        raise ConfigError([f"openssl could not make a certificate: {done.stderr.strip()[-300:]}"])
    key.chmod(0o600)
    return TlsFiles(certificate, key)


def _names() -> list[str]:
    """Return the names and addresses by which this machine is reached, as certificates list them."""
    own = socket.gethostname().lower()
    hosts = dict.fromkeys(["localhost", own, f"{own.partition('.')[0]}.local"])
    addresses = {"127.0.0.1", "::1", *_addresses(own)}
    return [*(f"DNS:{name}" for name in hosts), *(f"IP:{address}" for address in sorted(addresses))]


def _addresses(own: str) -> set[str]:
    """Return this machine's addresses: those of its name, and the one by which it reaches others (nothing is sent)."""
    found: set[str] = set()
    with suppress(OSError):  # a name without an address is usual
        found |= {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(own, None)}
    # An address of the documentation (RFC 5737): a datagram socket only looks up its route. Without a network: none.
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        found.add(probe.getsockname()[0])
    return {address for address in found if _is_plain(address)}


def _is_plain(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False
