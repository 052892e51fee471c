"""Time-stamp tokens (RFC 3161) over a signature value or over a document."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from asn1crypto import tsp
from cryptography import x509

from benhan_verify import cms
from benhan_verify.chain import STRONG, find_path, name_of
from benhan_verify.report import Refused, Verdict
from benhan_verify.revocation import Evidence, check_path

SKEW = timedelta(minutes=5)
NONE = Evidence()
Hasher = Callable[[str], bytes]


def check_stamp(
    token: bytes,
    hasher: Hasher,
    pool: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now: datetime,
    verdict: Verdict,
    evidence: Evidence = NONE,
) -> datetime:
    """Time proved by a token over what ``hasher`` digests by the name of a hash function.

    The chain of the authority, and its revocation by ``evidence``, is judged at the token's own time, so a token outlives
    its authority's certificate; the verdict then carries a remark. Without ``roots`` the chain is left unjudged (the
    caller says so).

    Raises: `Refused`.
    """
    signed = cms.read(token)
    if signed.content_type != cms.TST_INFO or signed.content is None:
        raise cms.malformed("Dấu thời gian không đúng dạng.", "The time stamp is malformed.")
    cms.check(signed, hashlib.new(signed.digest_name, signed.content).digest())
    moment = _imprint_time(signed.content, hasher)
    if moment > now + SKEW:
        raise Refused(
            "TIMESTAMP_ORDER_FAILURE", "Dấu thời gian ở tương lai.", "The time stamp lies in the future."
        )
    name = name_of(signed.certificate.subject)
    if roots:
        path = find_path(signed.certificate, (*signed.pool, *pool), roots, moment, "stamp")
        if any(c.not_valid_after_utc < now for c in path):
            verdict.remark(
                f"Chứng thư của “{name}” nay đã hết hạn; nên đóng thêm dấu thời gian lưu trữ.",
                f"The certificate of '{name}' has expired since; an archive time stamp is advised.",
            )
        verdict.proved(
            f"Dấu thời gian {moment.isoformat()} của “{name}”, nối tới gốc tin cậy.",
            f"Time stamp {moment.isoformat()} of '{name}', chained to a trusted root.",
        )
        check_path(path, evidence + signed.evidence, moment, verdict)
    return moment


def _imprint_time(content: bytes, hasher: Hasher) -> datetime:
    try:
        info = tsp.TSTInfo.load(content, strict=True)
        imprint = info["message_imprint"]
        name, said = (
            str(imprint["hash_algorithm"]["algorithm"].native),
            bytes(imprint["hashed_message"].native),
        )
        moment = info["gen_time"].native
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise cms.malformed("Dấu thời gian không đọc được.", "The time stamp is unreadable.") from error
    if name not in STRONG:
        raise Refused(
            "CRYPTO_CONSTRAINTS_FAILURE",
            f"Dấu thời gian dùng hàm băm yếu: {name}.",
            f"The time stamp uses a weak digest: {name}.",
        )
    if said != hasher(name):
        raise Refused(
            "HASH_FAILURE",
            "Dấu thời gian không thuộc chữ ký này.",
            "The time stamp is not over this signature.",
        )
    if not isinstance(moment, datetime):
        raise cms.malformed("Dấu thời gian không có giờ.", "The time stamp has no time.")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
