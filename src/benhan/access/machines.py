"""Machines: OAuth 2 client credentials with a signed assertion, and tokens bound to the client's certificate.

Source: SMART Backend Services (SMART App Launch 2.2), RFC 7523 (assertion), RFC 8705 (certificate
binding). The assertion is signed RS384 or ES384, lives at most five minutes, names this token endpoint
exactly, and serves once. The access token is 256 random bits, kept hashed, lives at most five minutes.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from psycopg.types.json import Jsonb

from benhan.access._rows import door, one, run, sha256
from benhan.access.policy import AccessPolicy
from benhan.access.scopes import SENSITIVE, narrow, parse
from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import BenhanError, InvalidInput, NotAllowed, NotAuthenticated
from benhan.base.ids import new_uuid
from benhan.base.settings import Settings
from benhan.store import Actor, Ctx, Repository, Store

LIFE_S = 300
LEEWAY_S = 5  # difference of clocks that is forgiven
ALGORITHMS = ("RS384", "ES384")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_CLIENT = "select * from machine_client where tenant = %s and client_id = %s and status = 'active'"


class TokenRefused(BenhanError):
    """OAuth refusal (RFC 6749 section 5.2): ``error`` is the OAuth code."""

    status = 400
    issue_type = "login"

    def __init__(
        self, error: Literal["invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"]
    ):
        super().__init__("access.token-refused", "Không cấp được quyền cho máy kết nối.", diagnostics=error)
        self.error = error


@dataclass(frozen=True, slots=True)
class MachineClient:
    """A registered machine; ``facility``: the tenant whose rights it reads with (at the hub), else None."""

    tenant: UUID
    client_id: str
    title: str
    jwks: Mapping[str, Any]
    thumbprints: tuple[str, ...]
    scopes: str
    facility: UUID | None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A granted token."""

    token: str
    scopes: str
    expires_in_s: int = LIFE_S


@dataclass(frozen=True, slots=True)
class MachineIn:
    """A machine at work: its context (``ctx.reader`` = its facility at the hub), policy and registration."""

    ctx: Ctx
    policy: AccessPolicy
    client: MachineClient
    scopes: str


def audiences(settings: Settings) -> frozenset[str]:
    """Addresses of this node's token endpoint that an assertion may name; never taken from a request."""
    bases: set[str] = set()
    if settings.public_url:
        bases.add(settings.public_url.rstrip("/"))
    if settings.machine_port:
        hosts = {settings.host}
        if settings.local_only:
            hosts |= {"localhost", "127.0.0.1"}
        if settings.public_url and (
            match := re.fullmatch(r"https?://([^/:]+)(:\d+)?(/.*)?", settings.public_url)
        ):
            hosts.add(match[1])
        bases |= {f"https://{host}:{settings.machine_port}" for host in hosts}
    if not bases:
        bases.add(f"http://{settings.host}:{settings.port}")
    return frozenset(f"{base}/oauth/token" for base in bases)


def public_jwk(key_pem: bytes) -> dict[str, Any]:
    """Public JWK (with ``kid`` and ``alg``) of a private or public key in PEM: EC P-384/P-256 or RSA ≥ 2048.

    Raises: ``InvalidInput`` (access.bad-key).
    """
    try:
        if b"PRIVATE" in key_pem:
            key = serialization.load_pem_private_key(key_pem, None).public_key()
        else:
            key = serialization.load_pem_public_key(key_pem)
    except ValueError:
        raise InvalidInput("access.bad-key", "Không đọc được khóa của máy kết nối.") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp384r1":
        jwk: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)
        jwk["alg"] = "ES384"
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
        jwk["alg"] = "RS384"
    else:
        raise InvalidInput("access.bad-key", "Khóa của máy kết nối phải là EC P-384 hoặc RSA từ 2048 bit.")
    jwk.pop("key_ops", None)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    jwk["kid"] = sha256(der.hex()).hex()[:32]
    jwk["use"] = "sig"
    return jwk


async def register_client(
    repo: Repository,
    name: str,
    *,
    jwks: Mapping[str, Any] | None = None,
    key_pem: bytes | None = None,
    thumbprints: Sequence[str],
    scopes: str,
    facility: UUID | None = None,
    title: str = "",
) -> MachineClient:
    """Register (or renew) a machine of this tenant; its ``client_id`` is ``name@tenant-uuid``.

    At the hub a machine must have the facility it reads for. ``thumbprints``: `certs.thumbprint` of its
    client certificates (two while one is being renewed).
    Raises: ``InvalidInput`` (access.bad-client, access.bad-key).
    """
    keys = dict(jwks) if jwks is not None else {"keys": [public_jwk(key_pem or b"")]}
    problem = None
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,80}", name):
        problem = "Tên máy chỉ gồm chữ không dấu, số, dấu chấm và gạch."
    elif not thumbprints or not all(_THUMBPRINT.fullmatch(t) for t in thumbprints):
        problem = "Vân tay chứng thư phải là SHA-256 dạng base64url."
    elif not scopes.split() or not all(s == SENSITIVE or parse(s) for s in scopes.split()):
        problem = "Phạm vi quyền phải có dạng system/Loại.cruds (thêm x nếu được xuất hàng loạt)."
    elif repo.store.settings.role == "hub" and facility is None:
        problem = "Tại trục liên thông, máy kết nối phải thuộc một cơ sở."
    elif not _usable_keys(keys):
        problem = "Bộ khóa công khai (JWKS) không có khóa RS384 hoặc ES384 dùng được."
    if problem:
        raise InvalidInput("access.bad-client", problem)
    tenant = repo.ctx.tenant
    client_id = f"{name}@{tenant}"
    async with repo.transaction() as tx:
        await run(
            tx,
            "insert into machine_client (tenant, client_id, title, jwks, thumbprints, "
            "scopes, facility, created_at) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant, client_id) do update set "
            "title = excluded.title, jwks = excluded.jwks, thumbprints = excluded.thumbprints, "
            "scopes = excluded.scopes, facility = excluded.facility, status = 'active'",
            (
                tenant,
                client_id,
                title or name,
                Jsonb(keys),
                list(thumbprints),
                scopes,
                facility,
                repo.clock.now(),
            ),
        )
        await tx.audit(
            "client-register", entity=None, patient=None, detail={"client": client_id, "scopes": scopes}
        )
    return MachineClient(tenant, client_id, title or name, keys, tuple(thumbprints), scopes, facility)


async def disable_client(repo: Repository, client_id: str, reason: str) -> None:
    """Disable a machine: no new tokens, and its living tokens are refused."""
    async with repo.transaction() as tx:
        await run(
            tx,
            "update machine_client set status = 'disabled' where tenant = %s and client_id = %s",
            (repo.ctx.tenant, client_id),
        )
        await run(
            tx, "delete from machine_token where tenant = %s and client_id = %s", (repo.ctx.tenant, client_id)
        )
        await tx.audit(
            "client-disable", entity=None, patient=None, detail={"client": client_id, "reason": reason}
        )


def _usable_keys(jwks: Mapping[str, Any]) -> list[jwt.PyJWK]:
    out: list[jwt.PyJWK] = []
    keys = jwks.get("keys")
    for raw in keys if isinstance(keys, list) else []:
        if not isinstance(raw, dict) or "d" in raw:
            continue
        algorithm = "RS384" if raw.get("kty") == "RSA" else "ES384" if raw.get("crv") == "P-384" else None
        if algorithm is None or raw.get("alg", algorithm) != algorithm:
            continue
        try:
            out.append(jwt.PyJWK({**raw, "alg": algorithm}))
        except jwt.exceptions.PyJWTError:
            continue
    return out


def client_assertion(
    client_id: str, audience: str, private_key_pem: bytes, *, clock: Clock = SYSTEM_CLOCK, life_s: int = 240
) -> str:
    """A signed assertion for the token endpoint ``audience`` (its exact URL); serves once."""
    jwk = public_jwk(private_key_pem)
    now = int(clock.now().timestamp())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": str(new_uuid()),
        "iat": now,
        "exp": now + life_s,
    }
    return jwt.encode(claims, private_key_pem.decode(), algorithm=jwk["alg"], headers={"kid": jwk["kid"]})


def sign_statement(claims: Mapping[str, Any], kind: str, private_key_pem: bytes) -> str:
    """A compact JWS over ``claims`` with the machine's key; ``kind`` (header ``typ``) keeps it from serving as another."""
    jwk = public_jwk(private_key_pem)
    headers = {"kid": jwk["kid"], "typ": kind}
    return jwt.encode(dict(claims), private_key_pem.decode(), algorithm=jwk["alg"], headers=headers)


def read_statement(statement: str, kind: str, client: MachineClient) -> Mapping[str, Any]:
    """Claims of a statement signed by a registered machine. Raises: ``NotAllowed`` (access.bad-statement)."""
    try:
        if jwt.get_unverified_header(statement).get("typ") != kind:
            raise TokenRefused("invalid_client")
        return _signed_claims(statement, client)
    except (TokenRefused, jwt.exceptions.PyJWTError):
        raise NotAllowed("access.bad-statement", "Chữ ký của máy kết nối trên phong bì không đúng.") from None


async def issue_token(
    store: Store,
    *,
    form: Mapping[str, str],
    thumbprint: str | None,
    audience: Collection[str],
    correlation_id: str = "",
) -> AccessToken:
    """A token for the form of a token request, bound to the certificate with ``thumbprint``.

    Raises: ``TokenRefused`` with the OAuth error code.
    """
    if form.get("grant_type") != "client_credentials":
        raise TokenRefused("unsupported_grant_type")
    assertion = form.get("client_assertion", "")
    if form.get("client_assertion_type") != ASSERTION_TYPE or not 50 < len(assertion) < 8000:
        raise TokenRefused("invalid_request")
    if thumbprint is None:
        raise TokenRefused("invalid_client")
    client_id, tenant = _claimed_client(assertion)
    repo = door(store, tenant, correlation_id)
    async with repo.transaction() as tx:
        row = await one(tx, _CLIENT, (tenant, client_id))
    if row is None:
        raise TokenRefused("invalid_client")
    client = _client_of(row)
    claims = verify_assertion(assertion, client, audience, store.clock)
    if not any(hmac.compare_digest(thumbprint, t) for t in client.thumbprints):
        raise TokenRefused("invalid_client")
    scopes = narrow(form.get("scope", ""), client.scopes)
    token = f"{tenant.hex}.{secrets.token_urlsafe(32)}"
    now = store.clock.now()
    async with repo.transaction() as tx:
        if not await _use_jti(tx, client_id, str(claims["jti"]), int(claims["exp"])):
            raise TokenRefused("invalid_client")
        if scopes:
            await run(tx, "delete from machine_token where tenant = %s and expires_at < %s", (tenant, now))
            await run(
                tx,
                "insert into machine_token (tenant, token_sha256, client_id, scopes, thumbprint, created_at, "
                "expires_at) values (%s, %s, %s, %s, %s, %s, %s)",
                (tenant, sha256(token), client_id, scopes, thumbprint, now, now + timedelta(seconds=LIFE_S)),
            )
            await tx.audit(
                "token-issue", entity=None, patient=None, detail={"client": client_id, "scopes": scopes}
            )
    if not scopes:
        raise TokenRefused("invalid_scope")
    return AccessToken(token, scopes)


def _claimed_client(assertion: str) -> tuple[str, UUID]:
    """Client id and tenant as the unverified assertion names them: only to find the key that verifies it."""
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
        client_id = claims["iss"]
        return client_id, UUID(client_id.rpartition("@")[2])
    except (jwt.exceptions.PyJWTError, KeyError, ValueError, AttributeError, RecursionError):
        raise TokenRefused("invalid_client") from None


def verify_assertion(
    assertion: str, client: MachineClient, audience: Collection[str], clock: Clock
) -> Mapping[str, Any]:
    """Claims of a good assertion. Raises: ``TokenRefused`` (invalid_client)."""
    claims = _signed_claims(assertion, client)
    now = clock.now().timestamp()
    times = [claims.get("exp"), claims.get("iat", now), claims.get("nbf", now)]
    numbers = [t for t in times if isinstance(t, int | float) and not isinstance(t, bool)]
    if len(numbers) != 3:
        raise TokenRefused("invalid_client")
    exp, iat, nbf = numbers
    jti = claims.get("jti")
    good = (
        claims.get("iss") == client.client_id
        and claims.get("sub") == client.client_id
        and isinstance(claims.get("aud"), str)
        and claims["aud"] in audience
        and isinstance(jti, str)
        and 8 <= len(jti) <= 200
        and now < exp <= now + LIFE_S + LEEWAY_S
        and iat <= now + LEEWAY_S
        and nbf <= now + LEEWAY_S
    )
    if not good:
        raise TokenRefused("invalid_client")
    return claims


def _signed_claims(assertion: str, client: MachineClient) -> Mapping[str, Any]:
    try:
        header = jwt.get_unverified_header(assertion)
    except jwt.exceptions.PyJWTError:
        raise TokenRefused("invalid_client") from None
    if header.get("alg") not in ALGORITHMS or "crit" in header:
        raise TokenRefused("invalid_client")
    for key in _usable_keys(client.jwks):
        if key.algorithm_name != header["alg"] or (
            header.get("kid") and key.key_id and key.key_id != header["kid"]
        ):
            continue
        try:
            claims: Mapping[str, Any] = jwt.decode(
                assertion,
                key,
                algorithms=[key.algorithm_name],
                options={
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_iss": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except jwt.exceptions.PyJWTError:
            continue
        return claims
    raise TokenRefused("invalid_client")


async def _use_jti(tx: Repository, client_id: str, jti: str, exp: int) -> bool:
    tenant, now = tx.ctx.tenant, tx.clock.now()
    await run(
        tx, "delete from used_jti where tenant = %s and expires_at < %s", (tenant, now - timedelta(minutes=5))
    )
    return bool(
        await run(
            tx,
            "insert into used_jti (tenant, client_id, jti_sha256, expires_at) values (%s, "
            "%s, %s, to_timestamp(%s)) "
            "on conflict do nothing",
            (tenant, client_id, sha256(jti), exp),
        )
    )


async def token_ctx(
    store: Store,
    bearer: str,
    cert_thumbprint: str | None,
    *,
    purpose: str = "TREAT",
    correlation_id: str = "",
) -> MachineIn:
    """The machine that holds this token, if it also holds the certificate the token was bound to.

    Raises: ``NotAuthenticated`` (access.bad-token): unknown, expired, other certificate, or client disabled.
    """
    head, _, tail = bearer.partition(".")
    try:
        if not 40 <= len(tail) <= 64 or len(head) != 32:
            raise ValueError
        tenant = UUID(hex=head)
    except ValueError:
        raise _bad_token() from None
    async with door(store, tenant, correlation_id).transaction() as tx:
        row = await one(
            tx,
            "select t.thumbprint, t.scopes as granted, c.* from machine_token t join machine_client c "
            "on c.tenant = t.tenant and c.client_id = t.client_id "
            "where t.tenant = %s and t.token_sha256 = %s and t.expires_at > %s and c.status = 'active'",
            (tenant, sha256(bearer), store.clock.now()),
        )
    if row is None or cert_thumbprint is None or not hmac.compare_digest(row["thumbprint"], cert_thumbprint):
        raise _bad_token()
    client = _client_of(row)
    if cert_thumbprint not in client.thumbprints:
        raise _bad_token()
    return _at_work(client, row["granted"], purpose, correlation_id)


async def machine_now(
    store: Store, tenant: UUID, client_id: str, *, purpose: str = "TREAT", correlation_id: str = ""
) -> MachineIn | None:
    """A machine as it stands registered now, for what the node sends to it unasked; None: unknown or disabled."""
    async with door(store, tenant, correlation_id).transaction() as tx:
        row = await one(tx, _CLIENT, (tenant, client_id))
    if row is None:
        return None
    client = _client_of(row)
    return _at_work(client, client.scopes, purpose, correlation_id)


def client_id_of(ctx: Ctx) -> str:
    """``client_id`` of the machine that acts in ``ctx``."""
    return f"{ctx.actor.reference.removeprefix('Device/')}@{ctx.tenant}"


def _at_work(client: MachineClient, scopes: str, purpose: str, correlation_id: str) -> MachineIn:
    actor = Actor(
        reference=f"Device/{client.client_id.partition('@')[0]}", display=client.title, kind="machine"
    )
    ctx = Ctx(
        tenant=client.tenant,
        actor=actor,
        roles=frozenset({"machine"}),
        purpose=purpose,
        correlation_id=correlation_id,
        reader=client.facility,
        sight=None if SENSITIVE in scopes.split() else uuid5(NAMESPACE_URL, client.client_id),
    )
    return MachineIn(ctx, AccessPolicy.of_scopes(scopes), client, scopes)


def _bad_token() -> NotAuthenticated:
    return NotAuthenticated("access.bad-token", "Thẻ truy cập của máy kết nối không còn giá trị.")


def _client_of(row: Mapping[str, Any]) -> MachineClient:
    return MachineClient(
        row["tenant"],
        row["client_id"],
        row["title"],
        row["jwks"],
        tuple(row["thumbprints"]),
        row["scopes"],
        row["facility"],
    )
