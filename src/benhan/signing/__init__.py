"""Signatures: two-phase signers, PAdES papers, CAdES entries, sealed ASiC-E containers, keys, time stamps, verification."""

from pyhanko.sign.timestamps import TimeStamper

from benhan.base.settings import Settings
from benhan.signing import pki
from benhan.signing.asking import HttpEvidence, evidence_source, forget_answers
from benhan.signing.audit_heads import (
    AuditCheck,
    SignedHead,
    audit_checks,
    check_audit,
    last_audit_head,
    sign_audit_head,
)
from benhan.signing.authority import ocsp_app, pki_app, tsa_app
from benhan.signing.cades import cades_finish, cades_prepare, entry_signature, sign_cades
from benhan.signing.container import seal
from benhan.signing.csc import AgentSigner, CscService, CscSigner
from benhan.signing.csc_simulator import CscSimulator
from benhan.signing.drawing import clean_png
from benhan.signing.evidence import (
    CertificateHeld,
    CertificateRevoked,
    Evidence,
    EvidenceSource,
    LocalEvidence,
)
from benhan.signing.holders import (
    KINDS,
    HeldKey,
    Holder,
    KeyRequest,
    NewKey,
    add_key,
    all_keys,
    distant,
    drop_request,
    enrol_request,
    finished,
    holder_of,
    open_requests,
    remote_signer,
    request_key,
    signer_of,
)
from benhan.signing.keys import KeyInfo, KeyStore, root_certificate, tsa_roots
from benhan.signing.later import cms_stamped, cms_waits, may_wait, pdf_waits
from benhan.signing.pdf import Place, pdf_archive, pdf_finish, pdf_prepare, sign_pdf
from benhan.signing.pkcs11 import TokenPlace, TokenSigner
from benhan.signing.pki import pki_folder
from benhan.signing.renewal import proof_ends, renew
from benhan.signing.resuming import AtTheToken, ResumedSigner
from benhan.signing.signer import SIGNER_FAULTS, Prepared, Signer, SoftwareSigner
from benhan.signing.timestamps import HttpTimeStamper, LocalTimeStamper
from benhan.signing.unasked import Unasked, cms_answered, state_waits, unasked
from benhan.signing.verification import Finding, Report, verify_container, verify_entry, verify_pdf
from benhan.signing.xades import sign_xades, xades_finish, xades_prepare
from benhan.signing.xml_judging import verify_xades


def time_stamper(settings: Settings, *, of_seal: bool = False) -> TimeStamper:
    """The time stamper of an installation: its service, or its own test authority.

    ``of_seal``: for a seal or a completion, which never goes without its token whatever the settings say.
    """
    if settings.tsa_url:
        may_wait = settings.tsa_away == "later" and not of_seal
        return HttpTimeStamper(settings.tsa_url, tsa_roots(settings), may_wait=may_wait)
    pki.create(pki_folder(settings))
    return LocalTimeStamper(pki_folder(settings))


__all__ = [
    "KINDS",
    "SIGNER_FAULTS",
    "AgentSigner",
    "AtTheToken",
    "AuditCheck",
    "CertificateHeld",
    "CertificateRevoked",
    "CscService",
    "CscSigner",
    "CscSimulator",
    "Evidence",
    "EvidenceSource",
    "Finding",
    "HeldKey",
    "Holder",
    "HttpEvidence",
    "HttpTimeStamper",
    "KeyInfo",
    "KeyRequest",
    "KeyStore",
    "LocalEvidence",
    "LocalTimeStamper",
    "NewKey",
    "Place",
    "Prepared",
    "Report",
    "ResumedSigner",
    "SignedHead",
    "Signer",
    "SoftwareSigner",
    "TimeStamper",
    "TokenPlace",
    "TokenSigner",
    "Unasked",
    "add_key",
    "all_keys",
    "audit_checks",
    "cades_finish",
    "cades_prepare",
    "check_audit",
    "clean_png",
    "cms_answered",
    "cms_stamped",
    "cms_waits",
    "distant",
    "drop_request",
    "enrol_request",
    "entry_signature",
    "evidence_source",
    "finished",
    "forget_answers",
    "holder_of",
    "last_audit_head",
    "may_wait",
    "ocsp_app",
    "open_requests",
    "pdf_archive",
    "pdf_finish",
    "pdf_prepare",
    "pdf_waits",
    "pki",
    "pki_app",
    "proof_ends",
    "remote_signer",
    "renew",
    "request_key",
    "root_certificate",
    "seal",
    "sign_audit_head",
    "sign_cades",
    "sign_pdf",
    "sign_xades",
    "signer_of",
    "state_waits",
    "time_stamper",
    "tsa_app",
    "tsa_roots",
    "unasked",
    "verify_container",
    "verify_entry",
    "verify_pdf",
    "verify_xades",
    "xades_finish",
    "xades_prepare",
]
