"""A certificate authority of a run's own, for the tools that speak nothing but TLS and for the price of TLS itself.

Invariant: the keys live in a folder of the run and vouch for addresses of this machine and `STORAGE_HOST` alone.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import re
import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

STORAGE_HOST = "storage.googleapis.com"
_LOOKED_UP = re.compile(r"[0-9a-f]{8}\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Certificates:
    """What was made.

    Attributes:
        server: a file with the server's certificate and its private key.
        trusted: a file with this machine's usual authorities and the run's own: as long to read as that of any client.
        trusted_directory: the same as a directory with each in a file, for programs that look them up there; ``None`` where this machine
            has none.
    """

    server: Path
    trusted: Path
    trusted_directory: Path | None

    @property
    def variables(self) -> dict[str, str]:
        """The environment by which OpenSSL believes them, as it believes this machine's own."""
        if self.trusted_directory is None:
            return {"SSL_CERT_FILE": str(self.trusted)}
        return {"SSL_CERT_DIR": str(self.trusted_directory)}


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and a certificate of its for this machine, as files in *folder*."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _name("epic-lab benchmarks")
    authority_certificate = (
        _begun(authority, authority, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    alternatives: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(STORAGE_HOST)]
    alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = (
        _begun(_name("localhost"), authority, server_key)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    server = folder / "server.pem"
    server.write_bytes(
        certificate.public_bytes(pem)
        + server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    trusted = folder / "trusted.pem"
    trusted.write_bytes(_usual_authorities() + authority_certificate.public_bytes(pem))
    usual = ssl.get_default_verify_paths().capath
    directory = None
    if usual and any(_LOOKED_UP.fullmatch(it.name) for it in Path(usual).iterdir()):
        directory = folder / "trusted"
        shutil.copytree(usual, directory)
        (directory / looked_up_as("epic-lab benchmarks")).write_bytes(authority_certificate.public_bytes(pem))
    return Certificates(server, trusted, directory)


def looked_up_as(common_name: str) -> str:
    """Return the file name by which OpenSSL looks up the authority of that name, which is in lower case.

    https://docs.openssl.org/master/man1/openssl-rehash/: it begins with a digest of the name without its outermost frame.
    """
    framed = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]).public_bytes()
    number = int.from_bytes(hashlib.sha1(framed[2:], usedforsecurity=False).digest()[:4], "little")
    return f"{number:08x}.0"


def _usual_authorities() -> bytes:
    usual = ssl.get_default_verify_paths().cafile
    if usual is None:
        import certifi

        usual = certifi.where()
    return Path(usual).read_bytes().rstrip() + b"\n"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
