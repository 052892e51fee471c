"""CMS signatures over bytes, detached, CAdES-B-T: for entries of running sheets and for containers."""

from __future__ import annotations

import base64
import hashlib
import json

from asn1crypto import cms
from pyhanko.sign.ades.api import CAdESSignedAttrSpec
from pyhanko.sign.signers.pdf_cms import ExternalSigner, PdfCMSSignedAttributes
from pyhanko.sign.timestamps import TimeStamper

from benhan.base.json_door import loads_object
from benhan.signing.evidence import embed
from benhan.signing.later import with_token
from benhan.signing.resuming import resumed
from benhan.signing.signer import DIGEST, Prepared, Signer, evidence_for, mechanism, registry

_RESERVED = 1024


def _external(signer: Signer, signature: bytes = b"\0" * _RESERVED) -> ExternalSigner:
    return ExternalSigner(
        signing_cert=signer.certificate,
        cert_registry=registry(signer),
        signature_value=signature,
        signature_mechanism=mechanism(signer.certificate),
        embed_roots=True,
    )


async def cades_prepare(data: bytes, signer: Signer) -> Prepared:
    """First phase: the signed attributes over the digest of ``data``; the certificate's state is asked before the key.

    Raises: as `evidence_for`.
    """
    await evidence_for(signer)
    digest = hashlib.sha256(data).digest()
    attributes = await _external(signer).signed_attrs(
        digest,
        DIGEST,
        attr_settings=PdfCMSSignedAttributes(cades_signed_attrs=CAdESSignedAttrSpec()),
        content_type="data",
        use_pades=False,
        is_pdf_sig=False,
    )
    der = attributes.dump()
    state = json.dumps({"kind": "cades", "attributes": base64.b64encode(der).decode()}).encode()
    return Prepared(b"\x31" + der[1:], state)


async def cades_finish(
    prepared: Prepared, signer: Signer, signature: bytes, tsa: TimeStamper | None
) -> bytes:
    """Last phase: the detached CMS, DER, with a time stamp when there is a stamper (B-T), and with revocation data
    when the signer has a source of it (B-LT).
    """
    state = loads_object(prepared.state)
    attributes = cms.CMSAttributes.load(base64.b64decode(state["attributes"]))
    signed = await with_token(_external(signer, signature), attributes, tsa)
    embed(signed, await evidence_for(signer))
    return bytes(signed.dump())


async def sign_cades(data: bytes, signer: Signer, tsa: TimeStamper | None = None) -> bytes:
    """Detached CAdES over exact bytes, all phases at once."""
    prepared = resumed(signer, data) or await cades_prepare(data, signer)
    return await cades_finish(prepared, signer, await signer.sign_digest(prepared), tsa)


async def entry_signature(data: bytes, signer: Signer, tsa: TimeStamper | None = None) -> bytes:
    """Detached CMS over the exact bytes of an entry of a running sheet."""
    return await sign_cades(data, signer, tsa)
