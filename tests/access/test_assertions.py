"""The signed assertion of a machine: what is accepted and the many that are not (RFC 7523, SMART Backend
Services).
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from benhan.access import MachineClient, TokenRefused, audiences, client_assertion, public_jwk
from benhan.access.machines import verify_assertion
from benhan.base.clock import FrozenClock
from benhan.base.errors import InvalidInput
from benhan.base.settings import Settings

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
CLOCK = FrozenClock(NOW)
AUD = "https://hub.test:9443/oauth/token"


def pem(key: Any) -> bytes:
    """Unencrypted PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


EC = pem(ec.generate_private_key(ec.SECP384R1()))
OTHER = pem(ec.generate_private_key(ec.SECP384R1()))
RSA = pem(rsa.generate_private_key(65537, 2048))


def client(*keys: bytes) -> MachineClient:
    """A registered machine with these keys."""
    jwks = {"keys": [public_jwk(k) for k in keys]}
    return MachineClient(UUID(int=1), "a@1", "A", jwks, ("x" * 43,), "system/*.rs", None)


def forged(key: bytes = EC, alg: str = "ES384", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """An assertion with changed claims."""
    now = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": "a@1", "sub": "a@1", "aud": AUD, "jti": "j" * 20, "iat": now, "exp": now + 200, **changes,
    }  # fmt: skip
    claims = {k: v for k, v in claims.items() if v is not None}
    return jwt.encode(claims, key.decode() if alg != "none" else None, algorithm=alg, headers=headers)


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES384", "RS384"])
def test_own_assertion_is_accepted(key: bytes) -> None:
    """What `client_assertion` makes verifies with the registered key, for both algorithms."""
    assertion = client_assertion("a@1", AUD, key, clock=CLOCK)
    claims = verify_assertion(assertion, client(OTHER, key), [AUD], CLOCK)
    assert claims["exp"] - claims["iat"] <= 300


T = int(NOW.timestamp())
BAD: dict[str, str] = {
    "expired": forged(exp=T - 1),
    "expires now": forged(exp=T),
    "lives six minutes": forged(exp=T + 360),
    "no exp": forged(exp=None),
    "exp is text": forged(exp=str(T + 100)),
    "from the future": forged(iat=T + 60),
    "not yet valid": forged(nbf=T + 60),
    "other audience": forged(aud="https://other.test/oauth/token"),
    "audience with slash": forged(aud=AUD + "/"),
    "audience list": forged(aud=[AUD]),
    "base as audience": forged(aud="https://hub.test:9443"),
    "no audience": forged(aud=None),
    "other issuer": forged(iss="b@1"),
    "other subject": forged(sub="b@1"),
    "no jti": forged(jti=None),
    "short jti": forged(jti="1"),
    "numeric jti": forged(jti=123456789012),
    "other key": forged(OTHER),
    "algorithm none": forged(alg="none"),
    "RS256": forged(RSA, "RS256"),
    "RS512": forged(RSA, "RS512"),
    "PS384": forged(RSA, "PS384"),
    "critical header": forged(headers={"crit": ["b64"], "b64": True}),
    "unknown kid": forged(headers={"kid": "nobody"}),
    "not a token": "a.b.c",
    "two parts": "eyJhbGciOiJFUzM4NCJ9.e30",
}


@pytest.mark.parametrize("case", BAD)
def test_bad_assertions_are_refused(case: str) -> None:
    """Each fault alone is enough; the answer is the same for all."""
    with pytest.raises(TokenRefused) as caught:
        verify_assertion(BAD[case], client(EC, RSA), [AUD], CLOCK)
    assert caught.value.error == "invalid_client"


def test_public_key_as_hmac_secret_is_refused() -> None:
    """The classic confusion: HS384 keyed with the public key."""
    public = serialization.load_pem_private_key(RSA, None).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    import hashlib
    import hmac

    def b64(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    claims = {"iss": "a@1", "sub": "a@1", "aud": AUD, "jti": "j" * 20, "exp": T + 200}
    signed = f"{b64(json.dumps({'alg': 'HS384'}).encode())}.{b64(json.dumps(claims).encode())}"
    forged_token = f"{signed}.{b64(hmac.new(public, signed.encode(), hashlib.sha384).digest())}"
    with pytest.raises(TokenRefused):
        verify_assertion(forged_token, client(RSA), [AUD], CLOCK)


def test_private_keys_in_a_key_set_are_not_used() -> None:
    """A JWKS that carries a private part is not trusted, and weak keys are not registered."""
    whole = jwt.algorithms.ECAlgorithm.to_jwk(serialization.load_pem_private_key(EC, None), as_dict=True)
    holder = MachineClient(UUID(int=1), "a@1", "A", {"keys": [whole]}, (), "", None)
    with pytest.raises(TokenRefused):
        verify_assertion(forged(), holder, [AUD], CLOCK)
    for weak in (
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(rsa.generate_private_key(65537, 1024)),
        b"x",
    ):
        with pytest.raises(InvalidInput):
            public_jwk(weak)


def test_audiences_come_from_settings_only() -> None:
    """The token endpoint's names are fixed by the installation."""
    hub = Settings(role="hub", public_url="https://hub.test:9443/", machine_port=9443, host="10.0.0.1")
    assert audiences(hub) == {AUD, "https://10.0.0.1:9443/oauth/token"}
    local = Settings(machine_port=9443)
    assert "https://localhost:9443/oauth/token" in audiences(local)
