"""The state of a certificate asked of real servers on this machine: away, wrong, stale, revoked, suspended, lifted.

Certificates carry the addresses of the responder and of the list, as those of a licensed authority do. `openssl` judges what
the authority publishes.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID
from tests.signing.services import Service, saying

import benhan_verify
from benhan.base.clock import FrozenClock
from benhan.base.errors import BenhanError, NeighbourFailed, NotAllowed
from benhan.base.settings import Settings
from benhan.signing import (
    CertificateHeld,
    CertificateRevoked,
    Evidence,
    HttpEvidence,
    LocalEvidence,
    LocalTimeStamper,
    SoftwareSigner,
    asking,
    evidence_source,
    forget_answers,
    pki,
    pki_app,
    sign_cades,
    sign_pdf,
    sign_xades,
    verify_entry,
    verify_pdf,
)
from benhan.signing.evidence import embedded
from benhan.signing.revocation import state_of
from benhan_verify.revocation import Evidence as Brought

WORDS = "Diễn biến: đỡ sốt.".encode()


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PKI made once; each test works on a copy."""
    folder = tmp_path_factory.mktemp("asking") / "pki"
    pki.create(folder)
    return folder


class Authority:
    """A PKI whose responder (``/ocsp``) and lists are two servers, and a person with its addresses in the certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FrozenClock(datetime.now(UTC))
        self.responder, self.lists = (Service(pki_app(folder, self.clock)) for _ in range(2))
        key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._certified(key.public_key())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        own = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.plain = SoftwareSigner.load(own, pem, pki.chain(folder))
        self.roots = (folder / "root.pem").read_bytes()
        self.source = self.asked_by()
        self.signer = SoftwareSigner.load(own, pem, pki.chain(folder), self.source)
        self.serial = self.certificate.serial_number

    def asked_by(self, *, may_wait: bool = False) -> HttpEvidence:
        """The issuing CA's own state comes from the root's list, whose address only the settings know."""
        lists = (self.lists.url + "root.crl", self.lists.url + "ca.crl")
        return HttpEvidence(self.plain.chain, None, lists, may_wait, self.clock)

    def _certified(self, public: ec.EllipticCurvePublicKey) -> x509.Certificate:
        ca = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
        ca_key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        at = x509.UniformResourceIdentifier
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, at(self.responder.url + "ocsp/"))
        points = x509.DistributionPoint([at(self.lists.url + "ca.crl")], None, None, None)
        made = (
            x509.CertificateBuilder()
            .subject_name(
                x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Bác sĩ Thử (thử nghiệm)")])
            )
            .issuer_name(ca.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.clock.now() - timedelta(days=1))
            .not_valid_after(self.clock.now() + timedelta(days=30))
            .add_extension(x509.KeyUsage(True, True, *[False] * 7), critical=True)
            .add_extension(x509.AuthorityInformationAccess([access]), critical=False)
            .add_extension(x509.CRLDistributionPoints([points]), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        (self.folder / "issued" / f"{made.serial_number:x}").touch()
        return made

    async def on(self) -> None:
        await asyncio.gather(self.responder.on(), self.lists.on())

    async def off(self) -> None:
        await asyncio.gather(self.responder.off(), self.lists.off())

    async def signed(self) -> bytes:
        """An entry signed and stamped at the present of the test."""
        return await sign_cades(WORDS, self.signer, LocalTimeStamper(self.folder, self.clock))

    async def code(self) -> str:
        """Why signing is refused now."""
        with pytest.raises(BenhanError) as refused:
            await self.signed()
        return refused.value.code


@pytest.fixture
async def authority(master: Path, tmp_path: Path) -> AsyncIterator[Authority]:
    """Both servers on, nothing kept from before."""
    subprocess.run(["cp", "-r", master, tmp_path / "pki"], check=True)
    forget_answers()
    made = Authority(tmp_path / "pki")
    await made.on()
    yield made
    await made.off()
    forget_answers()


async def test_good_answers_are_embedded_and_prove_it_offline(authority: Authority) -> None:
    """Entry and paper carry OCSP answer and the root's list: both judges call them proved, with both servers off."""
    signature = await authority.signed()
    pdf = await sign_pdf(_paper(), authority.signer, field="ky", name="Thử", tsa=_tsa(authority))
    await authority.off()
    proof = _inside(signature)
    assert (len(proof.ocsps), len(proof.crls)) == (1, 1)
    for report in (
        await verify_entry(WORDS, signature, authority.roots),
        await verify_pdf(pdf, authority.roots),
    ):
        assert report.ok, report
    state = state_of(authority.certificate, _issuer(authority), proof, authority.clock.now())
    assert state.known_at is not None
    verdict = benhan_verify.verify_detached(WORDS, signature, benhan_verify.roots_of_pem(authority.roots))
    assert verdict.exit_code == 0, verdict.as_text()


async def test_answer_is_kept_for_a_batch_and_asked_again_after(authority: Authority) -> None:
    """Ten papers ask once; minutes later it is asked again; kept answers serve while it is away, until nextUpdate."""
    for _ in range(10):
        await authority.signed()
    assert authority.responder.asked == 1
    authority.clock.move(minutes=6)
    await authority.signed()
    assert authority.responder.asked == 2
    await authority.off()
    authority.clock.move(hours=20)
    await authority.signed()
    authority.clock.move(hours=5)
    assert await authority.code() == "signing.revocation-away"


async def test_responder_away_the_list_serves(authority: Authority) -> None:
    """CRL is the second way; when it is away too nothing is signed, and it goes on when one is back."""
    await authority.responder.off()
    proof = _inside(await authority.signed())
    assert (len(proof.ocsps), len(proof.crls)) == (0, 2)
    forget_answers()
    await authority.lists.off()
    assert await authority.code() == "signing.revocation-away"
    await authority.on()
    assert _inside(await authority.signed()).ocsps


async def test_list_away_the_responder_serves_but_the_chain_is_asked_whole(authority: Authority) -> None:
    """The state of the issuing CA is known from the root's list only: unknown, it is not taken for good."""
    await authority.lists.off()
    assert await authority.code() == "signing.revocation-away"
    await authority.lists.on()
    await authority.signed()


async def test_away_may_wait_where_the_house_allows(authority: Authority) -> None:
    """With ``later`` the signature is made without evidence, and says so; a revoked one is refused all the same."""
    await authority.off()
    waiting = SoftwareSigner(
        authority.plain.certificate,
        authority.plain.chain,
        authority.plain.key,
        authority.asked_by(may_wait=True),
    )
    signature = await sign_cades(WORDS, waiting, _tsa(authority))
    assert _inside(signature) == Evidence()
    report = await verify_entry(WORDS, signature, authority.roots)
    assert any("chưa xét" in f.text for f in report.findings)
    await authority.on()
    pki.revoke(authority.folder, authority.serial, authority.clock)
    with pytest.raises(CertificateRevoked):
        await sign_cades(WORDS, waiting, _tsa(authority))


@pytest.mark.parametrize("by", ["responder", "lists"])
async def test_revoked_is_refused_by_either_way(authority: Authority, by: str) -> None:
    """Entry, paper and XML: nothing is signed any more, with the sentence of the revocation."""
    await (authority.lists if by == "responder" else authority.responder).off()
    pki.revoke(authority.folder, authority.serial, authority.clock)
    assert await authority.code() == "signing.certificate-revoked"
    with pytest.raises(NotAllowed) as refused:
        await sign_pdf(_paper(), authority.signer, field="ky", tsa=_tsa(authority))
    assert refused.value.text == "Chứng thư chữ ký số đã bị thu hồi."
    with pytest.raises(CertificateRevoked):
        await sign_xades(b"<a/>", authority.signer)


async def test_suspended_then_lifted(authority: Authority, tmp_path: Path) -> None:
    """On OCSP and CRL while it lasts, judged by `openssl`; what was signed in the hold is not proved by either verifier."""
    before = await authority.signed()
    authority.clock.move(minutes=10)
    pki.hold(authority.folder, authority.serial, authority.clock)
    assert await authority.code() == "signing.certificate-held"
    assert "certificateHold" in _openssl_says(authority, tmp_path)
    listed = pki.current_list(authority.folder, "ca", authority.clock)
    text = _openssl("crl", "-inform", "DER", "-in", "ca.crl", "-noout", "-text", cwd=authority.folder)
    assert "Certificate Hold" in text
    await authority.responder.off()
    with pytest.raises(CertificateHeld):
        await authority.signed()
    authority.clock.move(minutes=1)
    within = await sign_cades(WORDS, authority.plain, _tsa(authority))
    authority.clock.move(days=4)
    pki.hold(authority.folder, authority.serial, authority.clock)  # twice changes nothing
    still = _lists(authority)  # made anew in the second half of its life
    assert still != listed
    pki.lift(authority.folder, authority.serial, authority.clock)
    await authority.responder.on()
    authority.clock.move(minutes=1)
    lifted, after, now = _lists(authority), await authority.signed(), authority.clock.now()
    assert "good" in _openssl_says(authority, tmp_path)
    for signature, held, ok in (
        (before, (still,), True),
        (within, (listed,), False),
        (within, (still, lifted), False),
        (after, (listed, still), True),
    ):
        report = await verify_entry(WORDS, signature, authority.roots, now, crls=held)
        assert report.ok is ok, report
        roots = benhan_verify.roots_of_pem(authority.roots)
        verdict = benhan_verify.verify_detached(WORDS, signature, roots, now, brought=Brought(held))
        assert (verdict.exit_code == 0) is ok, verdict.as_text()
        if not ok:
            assert (report.indication, report.sub, verdict.sub) == ("INDETERMINATE", "TRY_LATER", "TRY_LATER")


async def test_a_hold_that_becomes_a_revocation_counts_from_its_beginning(authority: Authority) -> None:
    """Lifting does not undo a revocation."""
    began = authority.clock.now()
    pki.hold(authority.folder, authority.serial, authority.clock)
    authority.clock.move(hours=1)
    pki.revoke(authority.folder, authority.serial, authority.clock)
    pki.lift(authority.folder, authority.serial, authority.clock)
    with pytest.raises(CertificateRevoked) as refused:
        await authority.signed()
    assert abs(refused.value.at - began) < timedelta(seconds=1)


async def test_answer_of_another_signer_is_not_believed(authority: Authority) -> None:
    """A responder that nobody appointed, of another PKI, or about another certificate, counts as away: the list decides."""
    good = pki.issue_person(authority.folder, "Người khác", "2")
    serial = x509.load_pem_x509_certificate(good.certificate).serial_number
    other = pki.ocsp_response(authority.folder, serial, authority.clock)
    for name in ("pem", "key"):
        (authority.folder / f"ocsp.{name}").write_bytes((authority.folder / f"tsa.{name}").read_bytes())
    unappointed = pki.ocsp_response(authority.folder, authority.serial, authority.clock)
    pki.revoke(authority.folder, authority.serial, authority.clock)
    for lie in (unappointed, other):
        authority.responder.app = saying(lie.public_bytes(serialization.Encoding.DER))
        forget_answers()
        assert await authority.code() == "signing.certificate-revoked"  # by the list
    await authority.lists.off()
    forget_answers()
    assert await authority.code() == "signing.revocation-away"


async def test_stale_replayed_and_future_answers_are_not_believed(authority: Authority) -> None:
    """Past nextUpdate, with another request's nonce, or made in the future: away, and nothing is signed."""
    root_list = authority.lists
    answer = pki.ocsp_response(authority.folder, authority.serial, authority.clock)
    early = answer.public_bytes(serialization.Encoding.DER)
    authority.responder.app = saying(early)  # signed ahead, without a nonce: good within its time
    authority.lists.app = pki_app(authority.folder, authority.clock)
    await authority.signed()
    authority.clock.move(days=2)
    forget_answers()
    root_list.app = _only_root(authority)
    assert await authority.code() == "signing.revocation-away"
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        authority.certificate, _issuer(authority), hashes.SHA256()
    )
    asked = builder.add_extension(x509.OCSPNonce(b"x" * 16), critical=False).build()
    replayed = pki.ocsp_response(authority.folder, authority.serial, authority.clock, request=asked)
    later = FrozenClock(authority.clock.now() + timedelta(hours=3))
    future = pki.ocsp_response(authority.folder, authority.serial, later)
    for lie in (replayed, future):
        authority.responder.app = saying(lie.public_bytes(serialization.Encoding.DER))
        assert await authority.code() == "signing.revocation-away"
    authority.responder.app = saying(b"rubbish")
    assert await authority.code() == "signing.revocation-away"
    authority.responder.app = saying(b"\x30" * (asking.MOST_ANSWER_BYTES + 1))
    assert await authority.code() == "signing.revocation-away"


async def test_evidence_older_than_the_signature_proves_nothing(authority: Authority) -> None:
    """A signature made after nextUpdate of the list brought along is called unexamined, not good; so says benhan-verify."""
    old = _lists(authority)
    authority.clock.move(days=20)
    signature = await sign_cades(WORDS, authority.plain, _tsa(authority))
    found = state_of(authority.certificate, _issuer(authority), _evidence(old), authority.clock.now())
    assert (found.known_at, found.stale) == (None, True)
    report = await verify_entry(WORDS, signature, authority.roots, authority.clock.now(), crls=[old])
    assert any("đã cũ so với lúc ký" in f.text for f in report.findings)
    roots = benhan_verify.roots_of_pem(authority.roots)
    verdict = benhan_verify.verify_detached(
        WORDS, signature, roots, authority.clock.now(), brought=Brought((old,))
    )
    assert "đã cũ so với lúc ký" in verdict.as_text()


async def test_a_list_for_other_certificates_proves_nothing(authority: Authority) -> None:
    """A list for authorities only, for some reasons only, of another point, or a delta list does not speak for a person."""
    key = serialization.load_pem_private_key((authority.folder / "ca.key").read_bytes(), None)
    issuer, now = _issuer(authority), authority.clock.now()
    foreign = [x509.UniformResourceIdentifier("http://127.0.0.1/other.crl")]
    scopes: list[x509.ExtensionType] = [
        x509.IssuingDistributionPoint(None, None, False, True, None, False, False),
        x509.IssuingDistributionPoint(
            None, None, False, False, frozenset([x509.ReasonFlags.superseded]), False, False
        ),
        x509.IssuingDistributionPoint(foreign, None, False, False, None, False, False),
        x509.DeltaCRLIndicator(1),
    ]
    fitting = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    for scope in (*scopes, fitting):
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
        builder = builder.last_update(now).next_update(now + timedelta(days=1))
        made = builder.add_extension(scope, critical=True).sign(key, hashes.SHA256())
        der = made.public_bytes(serialization.Encoding.DER)
        known = state_of(authority.certificate, issuer, _evidence(der), now).known_at
        assert (known is not None) is (scope is fitting), scope


@pytest.mark.long
async def test_a_service_that_keeps_us_waiting_is_left_alone_for_a_while(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first paper waits its limit and takes the list; the next ones do not wait again."""
    monkeypatch.setattr(asking, "ASK_S", 0.3)

    async def silent(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(1)

    authority.responder.app = silent
    loop = asyncio.get_running_loop()
    await authority.signed()
    began = loop.time()
    authority.clock.move(minutes=6)
    await authority.signed()
    assert loop.time() - began < 0.25


def test_which_source_a_key_has(authority: Authority, tmp_path: Path) -> None:
    """The own test authority without network, whatever services are named; what others issued by HTTP; seals never wait."""
    settings = Settings(home=tmp_path / "home", revocation_away="later")
    folder = settings.secrets_dir / "pki"
    folder.parent.mkdir(parents=True)
    subprocess.run(["cp", "-r", authority.folder, folder], check=True)
    own = evidence_source(settings, authority.plain.chain)
    assert isinstance(own, LocalEvidence)
    assert own.may_wait
    assert not evidence_source(settings, authority.plain.chain, of_seal=True).may_wait
    named = settings.model_copy(update={"ocsp_url": "http://127.0.0.1/"})
    assert isinstance(
        evidence_source(named, authority.plain.chain), LocalEvidence
    )  # a relay knows others only
    others = evidence_source(named, authority.plain.chain[1:])
    assert isinstance(others, HttpEvidence)
    assert (others.ocsp_url, others.may_wait) == ("http://127.0.0.1/", True)


async def test_chain_without_issuer_is_refused(authority: Authority) -> None:
    """Nobody can be asked about a certificate whose issuer is not known."""
    with pytest.raises(NotAllowed) as refused:
        await HttpEvidence(()).evidence(authority.plain.certificate)
    assert refused.value.code == "signing.chain-incomplete"


async def test_only_web_addresses_are_asked(authority: Authority) -> None:
    """Settings win over the certificate; with both overridden by a dead address nobody else is asked."""
    dead = HttpEvidence(
        authority.plain.chain, "http://127.0.0.1:9/", ("http://127.0.0.1:9/x",), False, authority.clock
    )
    with pytest.raises(NeighbourFailed):
        await dead.evidence(authority.plain.certificate)
    assert authority.responder.asked == authority.lists.asked == 0


def _tsa(authority: Authority) -> LocalTimeStamper:
    return LocalTimeStamper(authority.folder, authority.clock)


def _paper() -> bytes:
    import typst

    return typst.compile('#set document(title: "x")\n= Giấy'.encode(), pdf_standards=["a-2b"])


def _issuer(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate((authority.folder / "ca.pem").read_bytes())


def _lists(authority: Authority) -> bytes:
    return pki.current_list(authority.folder, "ca", authority.clock)


def _evidence(der: bytes) -> Evidence:
    from asn1crypto import crl

    return Evidence((crl.CertificateList.load(der),))


def _inside(signature: bytes) -> Evidence:
    from asn1crypto import cms

    return embedded(cms.ContentInfo.load(signature)["content"])


def _only_root(authority: Authority) -> object:
    """The lists' server serves the root's list and nothing of the issuing CA."""
    whole = pki_app(authority.folder, authority.clock)

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        if scope.get("path") == "/ca.crl":
            await saying(b"", 404)(scope, receive, send)
        else:
            await whole(scope, receive, send)

    return app


def _openssl(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def _openssl_says(authority: Authority, folder: Path) -> str:
    """What `openssl ocsp` reads from the responder's answer; it must hold under the root."""
    (folder / "p.pem").write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    answer = pki.ocsp_response(authority.folder, authority.serial, authority.clock)
    (folder / "r").write_bytes(answer.public_bytes(serialization.Encoding.DER))
    said = _openssl(
        "ocsp", "-issuer", authority.folder / "ca.pem", "-sha256", "-cert", "p.pem", "-respin", "r", "-CAfile",
        authority.folder / "root.pem", "-verify_other", authority.folder / "ca.pem", "-no_nonce", cwd=folder,
    )  # fmt: skip
    assert "Response verify OK" in said, said
    return said
