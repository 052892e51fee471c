"""Software keys of persons and the organisation's seal, kept in the database, opened by a PIN.

A private key is encrypted under a key derived from the PIN by argon2id, with the installation's pepper, so that a stolen
database alone opens nothing. Five wrong PINs suspend the key until an administrator acts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from argon2.low_level import Type, hash_secret_raw
from asn1crypto import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from benhan.base.errors import ConfigurationError, Conflict, InvalidInput, NotAllowed, NotFound
from benhan.base.ids import new_uuid
from benhan.base.settings import Settings
from benhan.signing import pki
from benhan.signing.asking import evidence_source
from benhan.signing.pki import pki_folder
from benhan.signing.signer import SoftwareSigner, certificate_of, certificates_of_pem
from benhan.store import Repository

FREE_TRIES = 5
LEAST_PIN = 6
_PUT = (
    "insert into signing_key (tenant, id, owner, kind, name, licence, certificate, chain, key_sealed, created_at, "
    "expires_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_GET = (
    "select id, name, certificate, chain, key_sealed, failed, expires_at, status from signing_key "
    "where tenant = %s and owner = %s and status not in ('revoked', 'retired') order by created_at desc limit 1"
)
# The row is held while a PIN is tried, so that guesses run one after another and each is counted.
_TRY = _GET + " for update"
_RETIRE = (
    "update signing_key set status = 'retired' where tenant = %s and owner = %s "
    "and status = 'active' and expires_at <= %s"
)
_ALL = (
    "select id, owner, name, licence, certificate, status, created_at, expires_at from signing_key "
    "where tenant = %s and owner = %s order by created_at"
)
_FAIL = (
    "update signing_key set failed = failed + 1, status = case when failed + 1 >= %s then 'suspended' else status end "
    "where tenant = %s and id = %s"
)
_FORGIVE = "update signing_key set failed = 0 where tenant = %s and id = %s"
_STATUS = (
    "update signing_key set status = %s, failed = 0 where tenant = %s and owner = %s "
    "and status not in ('revoked', 'retired') returning certificate"
)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key and its certificate, as a page shows them."""

    id: UUID
    owner: str
    name: str
    licence: str
    certificate: x509.Certificate
    status: str
    created_at: datetime
    expires_at: datetime


def root_certificate(settings: Settings) -> bytes:
    """The roots a verifier must trust, PEM: those of signers, and of the time-stamp service where it has another.

    Raises: as `signer_roots` and `tsa_roots`.
    """
    signers = signer_roots(settings)
    return signers if settings.tsa_roots is None else signers + b"\n" + tsa_roots(settings)


def signer_roots(settings: Settings) -> bytes:
    """What certificates of signers must chain to, PEM: the own authority, and setting ``signing_roots``.

    Raises: ``ConfigurationError`` (signing.bad-signing-roots).
    """
    own = _own_root(settings)
    if settings.signing_roots is None:
        return own
    try:
        pem = settings.signing_roots.read_bytes()
        if certificates_of_pem(pem):
            return own + b"\n" + pem
    except (OSError, ValueError):
        pass
    raise ConfigurationError(
        "signing.bad-signing-roots",
        f"Thiết đặt signing_roots phải là tệp chứng thư gốc (PEM): {settings.signing_roots}.",
    )


def tsa_roots(settings: Settings) -> bytes:
    """What the tokens of the time-stamp service must chain to, PEM (setting ``tsa_roots``); else the own root.

    Raises: ``ConfigurationError`` (signing.bad-tsa-roots).
    """
    if settings.tsa_roots is None:
        return _own_root(settings)
    try:
        pem = settings.tsa_roots.read_bytes()
        if certificates_of_pem(pem):
            return pem
    except (OSError, ValueError):
        pass
    raise ConfigurationError(
        "signing.bad-tsa-roots", f"Thiết đặt tsa_roots phải là tệp chứng thư gốc (PEM): {settings.tsa_roots}."
    )


def _own_root(settings: Settings) -> bytes:
    pki.create(pki_folder(settings))
    return (pki_folder(settings) / "root.pem").read_bytes()


class KeyStore:
    """Keys of one tenant."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._folder = pki_folder(repo.store.settings)

    async def enrol(self, owner: str, name: str, licence: str, pin: str) -> KeyInfo:
        """A new key and certificate for ``owner`` (``Practitioner/…``).

        Raises: ``InvalidInput`` (signing.weak-pin), ``Conflict`` (signing.has-key).
        """
        check_pin(pin)
        return await self._make(owner, name, licence, "person", pin)

    async def _make(self, owner: str, name: str, licence: str, kind: str, pin: str) -> KeyInfo:
        issued = await asyncio.to_thread(self._issue, name, kind, licence)
        key_id, tenant, now = new_uuid(clock=self._repo.clock), self._repo.ctx.tenant, self._repo.clock.now()
        sealed = await asyncio.to_thread(_seal, issued.key, pin, self.pepper(), key_id)
        expires = certificate_of(issued.certificate).not_valid_after
        values = (
            tenant, key_id, owner, kind, name, licence, issued.certificate, pki.chain(self._folder), sealed, now, expires,
        )  # fmt: skip
        try:
            async with self._repo.transaction() as tx:
                await _connection(tx).execute(_RETIRE, (tenant, owner, now))
                await _connection(tx).execute(_PUT, values)
                await tx.audit(
                    "key-enrol", entity=owner, patient=None, detail={"key": str(key_id), "kind": kind}
                )
        except UniqueViolation:
            raise Conflict("signing.has-key", "Người này đã có khóa ký đang dùng.") from None
        return KeyInfo(
            key_id, owner, name, licence, certificate_of(issued.certificate), "active", now, expires
        )

    async def signer_for(self, owner: str, pin: str) -> SoftwareSigner:
        """Open a person's key; its signatures carry revocation data (B-LT), or wait for it where the settings say so.

        Raises: ``NotFound`` (signing.no-key), ``NotAllowed`` (signing.wrong-pin, signing.key-suspended,
        signing.certificate-expired).
        """
        found, key = await self._open(owner, pin, _TRY)
        if key is None:
            raise NotAllowed("signing.wrong-pin", "PIN ký không đúng.", expression="pin")
        return self._loaded(found, key)

    def _loaded(self, found: Any, key: bytes, *, of_seal: bool = False) -> SoftwareSigner:
        chain = bytes(found[3])
        source = evidence_source(
            self._repo.store.settings, certificates_of_pem(chain), self._repo.clock, of_seal=of_seal
        )
        return SoftwareSigner.load(bytes(found[2]), key, chain, source)

    async def _open(self, owner: str, pin: str, query: LiteralString) -> tuple[Any, bytes | None]:
        """The key's row and the opened key, None for a wrong PIN; the try is counted in a transaction of its own."""
        repo = self._repo.store.repo(self._repo.ctx, self._repo.policy)
        async with repo.transaction() as tx:
            row = await (await _connection(tx).execute(query, (self._repo.ctx.tenant, owner))).fetchone()
            if row is None:
                raise NotFound("signing.no-key", "Chưa có khóa ký. Hãy đăng ký chữ ký số với bộ phận CNTT.")
            key_id, _, _, _, sealed, failed, expires, status = row
            if status != "active":
                raise NotAllowed(
                    "signing.key-suspended", "Khóa ký đang bị tạm khóa. Hãy liên hệ bộ phận CNTT."
                )
            if expires <= self._repo.clock.now():
                raise NotAllowed("signing.certificate-expired", "Chứng thư chữ ký số đã hết hạn.")
            if sealed is None:
                raise NotFound("signing.no-key", "Khóa của người này không nằm ở máy chủ.")
            key = await asyncio.to_thread(_open, bytes(sealed), pin, self.pepper(), key_id)
            if key is None:
                await _connection(tx).execute(_FAIL, (FREE_TRIES, self._repo.ctx.tenant, key_id))
                await tx.audit("pin-wrong", entity=owner, patient=None, outcome="4")
            elif failed:
                await _connection(tx).execute(_FORGIVE, (self._repo.ctx.tenant, key_id))
        return row, key

    async def seal_signer(self, tenant: UUID) -> SoftwareSigner:
        """The organisation's seal; made at first use and again when it has run out, opened by the installation itself.

        Its signatures carry revocation data (B-LT). Raises: ``NotAllowed`` (signing.key-suspended).
        """
        owner = f"Organization/{tenant}"
        try:
            return await self._seal_signer(owner)
        except NotFound:
            pass
        except NotAllowed as refused:
            if refused.code != "signing.certificate-expired":
                raise
        info = next((t for t in await self._repo.store.tenants() if t.id == tenant), None)
        name = f"{info.code} {info.name}" if info else str(tenant)
        with contextlib.suppress(Conflict):  # another process has just made it
            await self._make(owner, name, info.code if info else "", "seal", self._seal_pin())
        return await self._seal_signer(owner)

    async def _seal_signer(self, owner: str) -> SoftwareSigner:
        found, key = await self._open(owner, self._seal_pin(), _GET)
        if key is None:
            raise NotAllowed("signing.wrong-pin", "PIN ký không đúng.", expression="pin")
        return self._loaded(found, key, of_seal=True)

    def _issue(self, name: str, kind: str, licence: str) -> pki.Issued:
        pki.create(self._folder, self._repo.clock)
        make = pki.issue_seal if kind == "seal" else pki.issue_person
        return make(self._folder, name, licence, self._repo.clock)

    async def certificates_of(self, owner: str) -> list[KeyInfo]:
        """All keys an owner ever had, oldest first."""
        async with self._repo.transaction() as tx:
            rows = await (await _connection(tx).execute(_ALL, (self._repo.ctx.tenant, owner))).fetchall()
        return [KeyInfo(r[0], r[1], r[2], r[3], certificate_of(bytes(r[4])), r[5], r[6], r[7]) for r in rows]

    async def set_status(self, owner: str, status: str, reason: str) -> None:
        """Suspend, reactivate or revoke an owner's key; the reason is audited.

        A certificate of the test PKI goes on its revocation list, a suspended one until it is active again; what it has
        signed before stays good.
        """
        if status not in ("active", "suspended", "revoked"):
            raise InvalidInput("signing.bad-status", "Trạng thái khóa không hợp lệ.")
        async with self._repo.transaction() as tx:
            rows = await (
                await _connection(tx).execute(_STATUS, (status, self._repo.ctx.tenant, owner))
            ).fetchall()
            await tx.audit(f"key-{status}", entity=owner, patient=None, detail={"reason": reason})

        listed = {"revoked": pki.revoke, "suspended": pki.hold, "active": pki.lift}[status]
        for (certificate,) in rows:
            serial = certificate_of(bytes(certificate)).serial_number
            if pki.is_issued(self._folder, serial):
                await asyncio.to_thread(listed, self._folder, serial, self._repo.clock)

    def pepper(self) -> bytes:
        """The installation's secret beside every PIN; made at first need."""
        path = self._repo.store.settings.secrets_dir / "signing.pepper"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(os.urandom(32))
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            temporary.unlink()
        return path.read_bytes()

    def _seal_pin(self) -> str:
        return "seal:" + self.pepper().hex()


def check_pin(pin: str) -> None:
    """Raises: ``InvalidInput`` (signing.weak-pin)."""
    if len(pin) < LEAST_PIN or len(set(pin)) < 3:
        raise InvalidInput(
            "signing.weak-pin",
            f"PIN ký phải có ít nhất {LEAST_PIN} ký tự, không lặp một số.",
            expression="pin",
        )


async def seal_key(repo: Repository, key: bytes, pin: str, key_id: UUID) -> bytes:
    """A private key (PEM) as it is kept, under its owner's PIN."""
    return await asyncio.to_thread(_seal, key, pin, KeyStore(repo).pepper(), key_id)


def _connection(tx: Repository) -> AsyncConnection[Any]:
    if tx.connection is None:
        raise RuntimeError("signing: needs a repository inside transaction()")
    return tx.connection


def _derive(pin: str, pepper: bytes, salt: bytes) -> bytes:
    return hash_secret_raw(pin.encode() + pepper, salt, 2, 19_456, 1, 32, Type.ID)


def _seal(key: bytes, pin: str, pepper: bytes, key_id: UUID) -> bytes:
    salt, nonce = os.urandom(16), os.urandom(12)
    return salt + nonce + AESGCM(_derive(pin, pepper, salt)).encrypt(nonce, key, key_id.bytes)


def _open(sealed: bytes, pin: str, pepper: bytes, key_id: UUID) -> bytes | None:
    salt, nonce, body = sealed[:16], sealed[16:28], sealed[28:]
    try:
        return AESGCM(_derive(pin, pepper, salt)).decrypt(nonce, body, key_id.bytes)
    except InvalidTag:
        return None
