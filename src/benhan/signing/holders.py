"""Keys that are not made here: whose certificate an administrator enrols, and where the key is asked to sign.

software  the key is made here, its certificate asked of an outside authority by PKCS #10 (RFC 2986) and brought back;
pkcs11    in a token or HSM at the server: ``place`` is "<token label>/<key label>", the driver is in the settings;
csc       at the remote signing service of the settings: ``place`` is the credential's id;
agent     in the token at the owner's own computer, reached by his browser only.
Source: NĐ 23/2025 (chữ ký số), Điều 15-17; a certificate must lead to a root this installation trusts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from asn1crypto import x509
from cryptography import x509 as c_x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from psycopg.errors import UniqueViolation
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError

from benhan.base.errors import Conflict, InvalidInput, NotAllowed, NotFound
from benhan.base.ids import new_uuid
from benhan.signing.asking import evidence_source
from benhan.signing.csc import AgentSigner, CscService, CscSigner
from benhan.signing.evidence import EvidenceSource
from benhan.signing.keys import KeyStore, check_pin, seal_key, signer_roots
from benhan.signing.pkcs11 import TokenPlace, TokenSigner
from benhan.signing.pki import pki_folder
from benhan.signing.resuming import ResumedSigner
from benhan.signing.signer import Prepared, Signer, certificate_of, certificates_of_pem
from benhan.store import Repository

Kind = Literal["software", "pkcs11", "csc", "agent"]
KINDS: tuple[Kind, ...] = ("software", "pkcs11", "csc", "agent")
_LEAST_RSA = 2048
_PRESENT = (
    "select id, owner, holder, place, certificate, chain, status, expires_at from signing_key "
    "where tenant = %s and owner = %s and status not in ('revoked', 'retired') order by created_at desc limit 1"
)
_ALL = (
    "select id, owner, kind, holder, place, name, licence, certificate, status, created_at, expires_at from signing_key "
    "where tenant = %s order by expires_at, name limit 5000"
)
_PUT = (
    "insert into signing_key (tenant, id, owner, kind, holder, place, name, licence, certificate, chain, key_sealed, "
    "created_at, expires_at) values (%s, %s, %s, 'person', %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_RETIRE = "update signing_key set status = 'retired' where tenant = %s and owner = %s and status = 'active'"
_ASK = (
    "insert into signing_request (tenant, id, owner, name, licence, csr, key_sealed, at) "
    "values (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_OPEN = "select id, owner, name, licence, csr, at from signing_request where tenant = %s and state = 'open' order by at"
_TAKE = (
    "update signing_request set state = %s where tenant = %s and id = %s and state = 'open' "
    "returning owner, name, licence, csr, key_sealed"
)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """One key as the page of keys shows it. ``kind``: person or seal; ``holder``: where the key is."""

    id: UUID
    owner: str
    kind: str
    holder: str
    place: str
    name: str
    licence: str
    certificate: x509.Certificate
    status: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key made here that waits for its certificate; ``csr`` is PEM."""

    id: UUID
    owner: str
    name: str
    licence: str
    csr: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Where the present key of somebody is, and its certificate."""

    kind: Kind
    place: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    chain_pem: bytes
    #: where the state of the certificate is asked for every signature
    revocation: EvidenceSource


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key enrolled for its owner: where it is and what its authority has given. Certificates are PEM or DER."""

    owner: str
    name: str
    licence: str
    holder: Kind
    place: str
    certificate: bytes
    chain: bytes = b""


async def holder_of(repo: Repository, owner: str) -> Holder:
    """Where the owner's key is.

    Raises: ``NotFound`` (signing.no-key); ``NotAllowed`` (signing.key-suspended, signing.certificate-expired).
    """
    async with repo.transaction() as tx:
        row = await (await tx.open_connection.execute(_PRESENT, (tx.ctx.tenant, owner))).fetchone()
    if row is None:
        raise NotFound("signing.no-key", "Chưa có khóa ký. Hãy đăng ký chữ ký số với bộ phận CNTT.")
    _, _, holder, place, certificate, chain, status, expires = row
    if status != "active":
        raise NotAllowed("signing.key-suspended", "Khóa ký đang bị tạm khóa. Hãy liên hệ bộ phận CNTT.")
    if expires <= repo.clock.now():
        raise NotAllowed("signing.certificate-expired", "Chứng thư chữ ký số đã hết hạn.")
    issuers = certificates_of_pem(bytes(chain))
    source = evidence_source(repo.store.settings, issuers, repo.clock)
    return Holder(holder, place, certificate_of(bytes(certificate)), issuers, bytes(chain), source)


async def signer_of(repo: Repository, owner: str, pin: str) -> Signer:
    """The owner's signer, wherever the key is; that of an agent signs in two phases only.

    Raises: as `holder_of`; ``NotAllowed`` (signing.wrong-pin …); what the token or the service raises.
    """
    held = await holder_of(repo, owner)
    settings = repo.store.settings
    if held.kind == "software":
        return await KeyStore(repo).signer_for(owner, pin)
    if held.kind == "agent":
        return distant(held)
    if held.kind == "pkcs11":
        if settings.pkcs11_module is None:
            raise NotAllowed(
                "signing.no-module", "Máy chủ chưa cấu hình trình điều khiển thiết bị ký (pkcs11_module)."
            )
        token, _, key = held.place.partition("/")
        signer: TokenSigner | CscSigner = await TokenSigner.open(
            TokenPlace(settings.pkcs11_module, token, key), pin, held.chain_pem
        )
    else:
        signer = await remote_signer(repo, held, pin)
    _same(signer.certificate, held.certificate)
    return replace(signer, chain=held.chain, revocation=held.revocation)


async def remote_signer(repo: Repository, held: Holder, pin: str) -> CscSigner:
    """The signer at the remote service of the settings. Raises: ``NotAllowed`` (signing.no-service), and as `CscSigner`."""
    settings = repo.store.settings
    file = settings.secrets_dir / "csc.secret"
    if settings.csc_url is None or not file.is_file():
        raise NotAllowed(
            "signing.no-service", "Chưa cấu hình dịch vụ ký từ xa (csc_url và secrets/csc.secret)."
        )
    secret = file.read_text(encoding="utf-8").strip()
    return await CscSigner.open(CscService(settings.csc_url, settings.csc_client_id, secret), held.place, pin)


def distant(held: Holder) -> AgentSigner:
    """For the first phase: what is to be signed comes as `AtTheToken`."""
    return AgentSigner(held.certificate, held.chain, held.revocation)


def finished(held: Holder, prepared: Prepared, signature: bytes) -> ResumedSigner:
    """For the last phase. Raises: ``NotAllowed`` (signing.not-this-signature)."""
    value = distant(held).accept(prepared, signature)
    return ResumedSigner(held.certificate, held.chain, prepared, value, held.revocation)


def _same(found: x509.Certificate, enrolled: x509.Certificate) -> None:
    if found.dump() != enrolled.dump():
        raise NotAllowed(
            "signing.other-certificate",
            "Chứng thư ở nơi giữ khóa khác chứng thư đã đăng ký. Hãy báo bộ phận CNTT.",
        )


# ---- what an administrator does ---------------------------------------------------------------------------------


async def all_keys(repo: Repository) -> list[HeldKey]:
    """Every key of the facility, the first to expire first."""
    async with repo.transaction() as tx:
        rows = await (await tx.open_connection.execute(_ALL, (tx.ctx.tenant,))).fetchall()
    return [
        HeldKey(r[0], r[1], r[2], r[3], r[4], r[5], r[6], certificate_of(bytes(r[7])), r[8], r[9], r[10])
        for r in rows
    ]


async def add_key(repo: Repository, new: NewKey) -> None:
    """Enrol a key that is held elsewhere; the owner's present one retires.

    Raises: ``InvalidInput`` (signing.bad-place, signing.not-a-certificate, signing.untrusted-certificate).
    """
    if new.holder == "software" or new.holder not in KINDS:
        raise InvalidInput(
            "signing.bad-place", "Khóa phần mềm được tạo từ yêu cầu cấp chứng thư.", expression="holder"
        )
    token, slash, key = new.place.partition("/")
    if new.holder == "pkcs11" and not (token and slash and key):
        text = "Ghi nơi giữ khóa theo dạng: nhãn thiết bị/nhãn khóa."
        raise InvalidInput("signing.bad-place", text, expression="place")
    if new.holder == "csc" and not new.place:
        raise InvalidInput("signing.bad-place", "Ghi mã khóa ở dịch vụ ký từ xa.", expression="place")
    certificate, chain = await _judged(repo, new.certificate, new.chain)
    async with repo.transaction() as tx:
        await _insert(tx, new_uuid(clock=tx.clock), new, certificate, chain, None)


async def request_key(repo: Repository, owner: str, name: str, licence: str, pin: str) -> KeyRequest:
    """A new software key of the owner, under his PIN, and the request for its certificate.

    Raises: ``InvalidInput`` (signing.weak-pin); ``Conflict`` (signing.request-open).
    """
    check_pin(pin)
    made, now = new_uuid(clock=repo.clock), repo.clock.now()
    info = next((t for t in await repo.store.tenants() if t.id == repo.ctx.tenant), None)
    csr, key = await asyncio.to_thread(_csr, name, licence, info.name if info else "")
    sealed = await seal_key(repo, key, pin, made)
    try:
        async with repo.transaction() as tx:
            values = (tx.ctx.tenant, made, owner, name, licence, csr, sealed, now)
            await tx.open_connection.execute(_ASK, values)
            await tx.audit("key-request", entity=owner, patient=None, detail={"request": str(made)})
    except UniqueViolation:
        raise Conflict("signing.request-open", "Đã có yêu cầu cấp chứng thư đang chờ.") from None
    return KeyRequest(made, owner, name, licence, csr, now)


async def open_requests(repo: Repository) -> list[KeyRequest]:
    """Requests that wait for their certificate, oldest first."""
    async with repo.transaction() as tx:
        rows = await (await tx.open_connection.execute(_OPEN, (tx.ctx.tenant,))).fetchall()
    return [KeyRequest(r[0], r[1], r[2], r[3], bytes(r[4]), r[5]) for r in rows]


async def enrol_request(repo: Repository, request_id: UUID, certificate: bytes, chain: bytes = b"") -> None:
    """Put the certificate to the key it was asked for.

    Raises: ``NotFound`` (signing.no-request); ``InvalidInput`` (signing.other-key, signing.not-a-certificate,
    signing.untrusted-certificate).
    """
    judged, whole = await _judged(repo, certificate, chain)
    async with repo.transaction() as tx:
        row = await _take(tx, request_id, "enrolled")
        owner, name, licence, csr, sealed = row
        asked = c_x509.load_pem_x509_csr(bytes(csr)).public_key()
        given = c_x509.load_der_x509_certificate(judged.dump()).public_key()
        if _spki(asked) != _spki(given):
            text = "Chứng thư này không phải của khóa trong yêu cầu."
            raise InvalidInput("signing.other-key", text, expression="certificate")
        new = NewKey(owner, name, licence, "software", "", certificate)
        await _insert(tx, request_id, new, judged, whole, bytes(sealed))


async def drop_request(repo: Repository, request_id: UUID) -> None:
    """Give a request up; its key is never used. Raises: ``NotFound`` (signing.no-request)."""
    async with repo.transaction() as tx:
        row = await _take(tx, request_id, "dropped")
        await tx.audit(
            "key-request-dropped", entity=row[0], patient=None, detail={"request": str(request_id)}
        )


async def _take(tx: Repository, request_id: UUID, state: str) -> Any:
    row = await (await tx.open_connection.execute(_TAKE, (state, tx.ctx.tenant, request_id))).fetchone()
    if row is None:
        raise NotFound("signing.no-request", "Không có yêu cầu này, hoặc yêu cầu đã xong.")
    return row


async def _insert(
    tx: Repository,
    key_id: UUID,
    new: NewKey,
    certificate: x509.Certificate,
    chain: bytes,
    sealed: bytes | None,
) -> None:
    tenant, now = tx.ctx.tenant, tx.clock.now()
    await tx.open_connection.execute(_RETIRE, (tenant, new.owner))
    values = (
        tenant, key_id, new.owner, new.holder, new.place, new.name, new.licence, _pem(certificate), chain, sealed, now,
        certificate.not_valid_after,
    )  # fmt: skip
    await tx.open_connection.execute(_PUT, values)
    detail = {"key": str(key_id), "kind": "person", "holder": new.holder}
    await tx.audit("key-enrol", entity=new.owner, patient=None, detail=detail)


def _pem(certificate: x509.Certificate) -> bytes:
    made = c_x509.load_der_x509_certificate(certificate.dump())
    return made.public_bytes(serialization.Encoding.PEM)


def _spki(key: Any) -> bytes:
    return bytes(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def _csr(name: str, licence: str, facility: str) -> tuple[bytes, bytes]:
    """PKCS #10 and key, both PEM. Subject: country, organisation, name, licence as serialNumber."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_LEAST_RSA)
    parts = [
        (NameOID.COUNTRY_NAME, "VN"),
        (NameOID.ORGANIZATION_NAME, facility[:64]),
        (NameOID.COMMON_NAME, name[:64]),
    ]
    parts += [(NameOID.SERIAL_NUMBER, licence[:64])] if licence else []
    subject = c_x509.Name([c_x509.NameAttribute(oid, text) for oid, text in parts if text])
    csr = c_x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return csr.public_bytes(serialization.Encoding.PEM), pem


async def _judged(repo: Repository, given: bytes, chain: bytes) -> tuple[x509.Certificate, bytes]:
    """A person's certificate that leads to a trusted root today, and its issuers as PEM.

    Raises: ``InvalidInput`` (signing.not-a-certificate, signing.untrusted-certificate).
    """
    roots = certificates_of_pem(signer_roots(repo.store.settings))
    try:
        certificate = certificate_of(given)
        found = c_x509.load_der_x509_certificate(certificate.dump())
        others = certificates_of_pem(chain) if chain.strip() else ()
    except (ValueError, TypeError):
        text = "Tệp không phải chứng thư X.509 (PEM hoặc DER)."
        raise InvalidInput("signing.not-a-certificate", text, expression="certificate") from None
    _fit(found)
    known = (*others, *_own_issuers(repo))
    context = ValidationContext(
        trust_roots=list(roots), other_certs=list(known), moment=repo.clock.now(), allow_fetching=False,
        revocation_mode="soft-fail",
    )  # fmt: skip
    try:
        path = await CertificateValidator(certificate, list(known), context).async_validate_path()
    except (PathError, ValidationError) as error:
        text = "Chứng thư không dẫn về nơi cấp được cơ sở tin cậy, hoặc không còn hiệu lực hôm nay."
        raise InvalidInput(
            "signing.untrusted-certificate", text, expression="certificate", diagnostics=str(error)[:200]
        ) from None
    issuers = [c for c in reversed(list(path)) if isinstance(c, x509.Certificate)][1:]
    root = next((r for r in roots if r.subject == (issuers or [certificate])[-1].issuer), None)
    issuers += [root] if root is not None and root not in issuers else []
    return certificate, b"".join(_pem(c) for c in issuers)


def _own_issuers(repo: Repository) -> tuple[x509.Certificate, ...]:
    return certificates_of_pem((pki_folder(repo.store.settings) / "ca.pem").read_bytes())


def _fit(certificate: c_x509.Certificate) -> None:
    """What a person signs with: RSA of 2048 bits or more or EC, for signatures. Raises: ``InvalidInput``."""
    key = certificate.public_key()
    weak = not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    if isinstance(key, rsa.RSAPublicKey):
        weak = key.key_size < _LEAST_RSA
    try:
        usage = certificate.extensions.get_extension_for_class(c_x509.KeyUsage).value
        signs = usage.digital_signature or usage.content_commitment
    except c_x509.ExtensionNotFound:
        signs = True
    try:
        ca = certificate.extensions.get_extension_for_class(c_x509.BasicConstraints).value.ca
    except c_x509.ExtensionNotFound:
        ca = False
    if weak or ca or not signs:
        text = "Chứng thư này không dùng để ký giấy tờ (khóa yếu, hoặc là chứng thư của nơi cấp)."
        raise InvalidInput("signing.untrusted-certificate", text, expression="certificate")
