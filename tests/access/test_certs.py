"""The network's own CA, judged by openssl."""

from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benhan.access import certs, create_ca, issue_node
from benhan.base.clock import FrozenClock
from benhan.base.errors import Conflict, InvalidInput, NotFound


def openssl(*arguments: str | Path) -> str:
    """Output of an openssl command that must succeed."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout + done.stderr


def test_openssl_accepts_chain_for_server_and_client(tmp_path: Path) -> None:
    """The certificate verifies strictly for both purposes and carries its names; the curve is P-256."""
    ca = create_ca(tmp_path / "ca")
    node = issue_node(
        tmp_path / "ca", "hub", ["localhost", "127.0.0.1", "truc.quangngai.test"], tmp_path / "tls"
    )
    for purpose in ("sslserver", "sslclient"):
        openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", ca, node.cert)
    openssl("verify", "-x509_strict", "-verify_hostname", "truc.quangngai.test", "-CAfile", ca, node.cert)
    openssl("verify", "-x509_strict", "-verify_ip", "127.0.0.1", "-CAfile", ca, node.cert)
    text = openssl("x509", "-in", node.cert, "-noout", "-text")
    assert "prime256v1" in text
    assert "CA:FALSE" in text


def test_keys_are_private_and_thumbprint_matches_openssl(tmp_path: Path) -> None:
    """Keys have mode 0600; the thumbprint is the SHA-256 of the DER."""
    create_ca(tmp_path / "ca")
    node = issue_node(tmp_path / "ca", "a", ["localhost"], tmp_path / "tls")
    for key in (tmp_path / "ca" / "ca.key", node.key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    printed = openssl("x509", "-in", node.cert, "-noout", "-fingerprint", "-sha256")
    digest = bytes.fromhex(printed.partition("=")[2].strip().replace(":", ""))
    import base64

    assert base64.urlsafe_b64decode(node.thumbprint + "=") == digest
    assert certs.thumbprint(node.cert.read_bytes()) == node.thumbprint


def test_ca_is_never_overwritten_and_must_exist(tmp_path: Path) -> None:
    """A second CA in the same folder is refused; a node without a CA is refused."""
    create_ca(tmp_path)
    with pytest.raises(Conflict):
        create_ca(tmp_path)
    with pytest.raises(NotFound):
        issue_node(tmp_path / "none", "a", ["localhost"], tmp_path)


@pytest.mark.parametrize("host", ["bad host", "-x", "a/b", "é.vn", ""])
def test_bad_hosts_are_refused(tmp_path: Path, host: str) -> None:
    """What is no host name or address gets no certificate."""
    create_ca(tmp_path)
    with pytest.raises(InvalidInput):
        issue_node(tmp_path, "a", [host], tmp_path / "tls")


def test_renewal_draws_a_new_key_for_the_same_names(tmp_path: Path) -> None:
    """Renewal is due 30 days before the end, and gives another key and thumbprint for the same hosts."""
    clock = FrozenClock(datetime.now(UTC))
    create_ca(tmp_path, clock=clock)
    node = issue_node(tmp_path, "a", ["localhost", "10.0.0.1"], tmp_path / "tls", clock=clock)
    old_key = node.key.read_bytes()
    assert not certs.needs_renewal(node.cert, clock=clock)
    clock.move(days=340)
    assert certs.needs_renewal(node.cert, clock=clock)
    fresh = certs.renew_node(tmp_path, node.cert, clock=clock)
    assert fresh.thumbprint != node.thumbprint
    assert fresh.key.read_bytes() != old_key
    assert fresh.not_after - node.not_after > timedelta(days=300)
    assert "IP Address:10.0.0.1" in openssl("x509", "-in", fresh.cert, "-noout", "-ext", "subjectAltName")
