"""A remote signing service to train and test with: CSC API v2, strict where real ones are.

Every request must name exactly the fields of the standard with their types; SAD is good once, for the hashes it was given
for, for five minutes; five wrong PINs disable the key. Keys are invented people's of the test PKI. 127.0.0.1 only.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from asn1crypto import pem as asn1_pem
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import BenhanError
from benhan.base.json_door import loads_object
from benhan.signing import pki
from benhan.signing.csc import SHA256_OID, SIGN_ALGO

LIFE = timedelta(minutes=5)
FREE_TRIES, MOST_HASHES, MOST_BODY = 5, 100, 1_000_000
_FIELDS: dict[str, dict[str, type]] = {
    "oauth2/token": {"grant_type": str, "client_id": str, "client_secret": str},
    "credentials/list": {},
    "credentials/info": {"credentialID": str, "certificates": str, "certInfo": bool, "authInfo": bool},
    "credentials/authorize": {
        "credentialID": str, "numSignatures": int, "hashes": list, "hashAlgorithmOID": str, "authData": list,
    },
    "signatures/signHash": {
        "credentialID": str, "SAD": str, "hashes": list, "hashAlgorithmOID": str, "signAlgo": str, "operationMode": str,
    },
}  # fmt: skip


@dataclass(slots=True)
class RemoteKey:
    """One key at the service."""

    certificates: list[bytes]
    key: rsa.RSAPrivateKey = field(repr=False)
    pin: str = field(repr=False)
    failed: int = 0


class _Error(Exception):
    def __init__(self, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.error, self.text, self.status = error, text, status


class CscSimulator:
    """State and answers; `app` serves it. One client: ``client_id`` with ``client_secret``."""

    def __init__(
        self,
        folder: Path,
        clock: Clock = SYSTEM_CLOCK,
        *,
        client_id: str = "benhan",
        client_secret: str = "thu-nghiem",  # noqa: S107 — of a simulator
    ) -> None:
        pki.create(folder)
        self._folder, self._clock, self._client = folder, clock, (client_id, client_secret)
        self.keys: dict[str, RemoteKey] = {}
        self._tokens: dict[str, datetime] = {}
        self._grants: dict[str, tuple[str, tuple[str, ...], datetime]] = {}

    def enrol(self, credential: str, name: str, pin: str, licence: str = "") -> None:
        """A key for an invented person."""
        issued = pki.issue_person(self._folder, name, licence, self._clock)
        key = serialization.load_pem_private_key(issued.key, None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise RuntimeError("the keys of the test PKI are RSA")
        pems = issued.certificate + pki.chain(self._folder)
        certificates = [der for _, _, der in asn1_pem.unarmor(pems, multiple=True)]
        self.keys[credential] = RemoteKey(certificates, key, pin)

    def app(self) -> Starlette:
        """The service under ``/csc/v2``."""
        return Starlette(routes=[Route("/csc/v2/{name:path}", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> JSONResponse:
        name = request.path_params["name"]
        try:
            body = await request.body()
            if name not in _FIELDS or len(body) > MOST_BODY:
                raise _Error("invalid_request", "Unknown method or too large a body", 404)
            asked = _shaped(name, body)
            if name == "oauth2/token":
                return JSONResponse(self._token(asked))
            self._require_token(request.headers.get("authorization", ""))
            answers = {
                "credentials/list": self._list,
                "credentials/info": self._info,
                "credentials/authorize": self._authorize,
                "signatures/signHash": self._sign,
            }
            return JSONResponse(answers[name](asked))
        except _Error as error:
            return JSONResponse({"error": error.error, "error_description": error.text}, error.status)

    def _token(self, asked: dict[str, Any]) -> dict[str, Any]:
        given = f"{asked['client_id']}\n{asked['client_secret']}"
        if asked["grant_type"] != "client_credentials":
            raise _Error("unsupported_grant_type", "Only client_credentials")
        if not hmac.compare_digest(given.encode(), "\n".join(self._client).encode()):
            raise _Error("invalid_client", "Unknown client", 401)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = self._clock.now() + LIFE
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(LIFE.total_seconds())}

    def _require_token(self, header: str) -> None:
        kind, _, token = header.partition(" ")
        until = self._tokens.get(token)
        if kind != "Bearer" or until is None or self._clock.now() >= until:
            raise _Error("invalid_token", "The access token is unknown or has expired", 401)

    def _list(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"credentialIDs": sorted(self.keys)}

    def _key(self, asked: dict[str, Any]) -> RemoteKey:
        found = self.keys.get(asked["credentialID"])
        if found is None:
            raise _Error("invalid_request", "Invalid parameter credentialID")
        return found

    def _info(self, asked: dict[str, Any]) -> dict[str, Any]:
        held = self._key(asked)
        own = x509.load_der_x509_certificate(held.certificates[0])
        state, gone = "valid", pki.gone(self._folder, own.serial_number)
        if own.not_valid_after_utc < self._clock.now():
            state = "expired"
        elif gone is not None:
            state = "suspended" if gone.held else "revoked"
        enabled = "enabled" if held.failed < FREE_TRIES else "disabled"
        return {
            "key": {"status": enabled, "algo": [SIGN_ALGO["rsa"]], "len": held.key.key_size},
            "cert": {
                "status": state,
                "certificates": [base64.b64encode(c).decode() for c in held.certificates],
            },
            "auth": {"mode": "explicit", "objects": [{"type": "Password", "id": "PIN"}]},
            "multisign": MOST_HASHES,
        }

    def _authorize(self, asked: dict[str, Any]) -> dict[str, Any]:
        held, digests = self._key(asked), _hashes(asked)
        if asked["numSignatures"] != len(digests):
            raise _Error("invalid_request", "numSignatures differs from the number of hashes")
        if held.failed >= FREE_TRIES:
            raise _Error("access_denied", "The key is disabled", 403)
        factors = asked["authData"]
        if len(factors) != 1 or set(factors[0]) != {"id", "value"} or factors[0]["id"] != "PIN":
            raise _Error("invalid_request", "authData must hold one factor")
        if not hmac.compare_digest(str(factors[0]["value"]).encode(), held.pin.encode()):
            held.failed += 1
            raise _Error("invalid_request", "The PIN is wrong")
        held.failed = 0
        sad = secrets.token_urlsafe(32)
        self._grants[sad] = (asked["credentialID"], digests, self._clock.now() + LIFE)
        return {"SAD": sad, "expiresIn": int(LIFE.total_seconds())}

    def _sign(self, asked: dict[str, Any]) -> dict[str, Any]:
        held, digests = self._key(asked), _hashes(asked)
        if asked["signAlgo"] != SIGN_ALGO["rsa"] or asked["operationMode"] != "S":
            raise _Error("invalid_request", "signAlgo or operationMode is not supported")
        grant = self._grants.pop(asked["SAD"], None)
        if grant is None or grant[:2] != (asked["credentialID"], digests) or self._clock.now() >= grant[2]:
            raise _Error("invalid_request", "The SAD is not good for these hashes")
        made = [
            held.key.sign(base64.b64decode(d), padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
            for d in digests
        ]
        return {"signatures": [base64.b64encode(m).decode() for m in made]}


def _shaped(name: str, body: bytes) -> dict[str, Any]:
    try:
        asked = loads_object(body)
    except BenhanError:
        raise _Error("invalid_request", "The body is no JSON object") from None
    fields = _FIELDS[name]
    if set(asked) != set(fields) or any(type(asked[key]) is not kind for key, kind in fields.items()):
        raise _Error("invalid_request", "Fields are missing, unknown or of another type")
    return asked


def _hashes(asked: dict[str, Any]) -> tuple[str, ...]:
    digests = asked["hashes"]
    try:
        sizes = {len(base64.b64decode(d, validate=True)) for d in digests}
    except (binascii.Error, ValueError, TypeError):
        sizes = set()
    if sizes != {32} or asked["hashAlgorithmOID"] != SHA256_OID or len(digests) > MOST_HASHES:
        raise _Error("invalid_request", "hashes must be SHA-256 in Base64")
    return tuple(digests)
