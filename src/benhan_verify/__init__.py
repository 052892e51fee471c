"""Stand-alone, offline verifier of what Bệnh Án signs: sealed records, signed papers, detached signatures.

Needs only the standard library, ``cryptography`` and ``asn1crypto``; it shares no code with ``benhan``, so it stays a second
opinion. Standards: ETSI EN 319 102-1 (indications), EN 319 162-1 (ASiC), RFC 5652 (CMS), RFC 5035 (signing certificate),
RFC 3161 (time stamps), RFC 5280 (chains), RFC 6960 (revocation), ISO 32000 (byte ranges, and that only signatures
follow a signature). Revocation is judged by the evidence inside the file and lists brought along; without any it says so.
"""

from benhan_verify.chain import roots_of_pem
from benhan_verify.cli import main
from benhan_verify.report import Finding, SignerSeen, Verdict
from benhan_verify.verify import verify_container, verify_detached, verify_file, verify_pdf

__all__ = [
    "Finding",
    "SignerSeen",
    "Verdict",
    "main",
    "roots_of_pem",
    "verify_container",
    "verify_detached",
    "verify_file",
    "verify_pdf",
]
