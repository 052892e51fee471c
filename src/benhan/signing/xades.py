"""XAdES-B signatures of XML (ETSI EN 319 132-1): enveloped in the document, or detached over a named file.

For the portal of BHYT, which asks for signed XML. The form is narrow on purpose: one signature, two references (the whole
document or file, and the signed properties), exclusive canonical XML, SHA-256, RSA or ECDSA. `verify_xades` accepts this
form and no other, so that there is nothing to wrap.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import InvalidInput
from benhan.base.ids import new_uuid
from benhan.base.json_door import loads_object
from benhan.base.xml_door import canonical, parse, serialize
from benhan.signing.signer import Prepared, Signer, evidence_for

DS, XADES = "http://www.w3.org/2000/09/xmldsig#", "http://uri.etsi.org/01903/v1.3.2#"
C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = DS + "enveloped-signature"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
METHODS = {
    "rsa": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "ec": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
}
Element = etree._Element


def b64(data: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode("ascii")


def sha256_b64(data: bytes) -> str:
    """DigestValue of bytes."""
    return b64(hashlib.sha256(data).digest())


def _add(parent: Element, name: str, text: str | None = None, **attributes: str) -> Element:
    made: Element = etree.SubElement(parent, name, attributes)
    made.text = text
    return made


def _reference(info: Element, uri: str, digest: str, transforms: tuple[str, ...], kind: str = "") -> None:
    reference = _add(info, f"{{{DS}}}Reference", URI=uri, **({"Type": kind} if kind else {}))
    if transforms:
        outer = _add(reference, f"{{{DS}}}Transforms")
        for algorithm in transforms:
            _add(outer, f"{{{DS}}}Transform", Algorithm=algorithm)
    _add(reference, f"{{{DS}}}DigestMethod", Algorithm=SHA256)
    _add(reference, f"{{{DS}}}DigestValue", digest)


def _properties(signature: Element, signer: Signer, own: str, at: datetime) -> Element:
    outer = _add(signature, f"{{{DS}}}Object")
    qualifying = etree.SubElement(
        outer, f"{{{XADES}}}QualifyingProperties", {"Target": f"#{own}"}, nsmap={"xades": XADES}
    )
    signed = _add(qualifying, f"{{{XADES}}}SignedProperties", Id=f"{own}-props")
    inner = _add(signed, f"{{{XADES}}}SignedSignatureProperties")
    _add(inner, f"{{{XADES}}}SigningTime", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    digest = _add(
        _add(_add(inner, f"{{{XADES}}}SigningCertificateV2"), f"{{{XADES}}}Cert"), f"{{{XADES}}}CertDigest"
    )
    _add(digest, f"{{{DS}}}DigestMethod", Algorithm=SHA256)
    _add(digest, f"{{{DS}}}DigestValue", sha256_b64(signer.certificate.dump()))
    return signed


def whole(tree: Element) -> bytes:
    """Canonical bytes of the whole document of an element, without comments."""
    return etree.tostring(tree.getroottree(), method="c14n", exclusive=True, with_comments=False)


async def xades_prepare(
    data: bytes,
    signer: Signer,
    *,
    detached: str | None = None,
    parent: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Prepared:
    """First phase: enveloped in the XML ``data``, or (``detached``: the file's name) over its bytes as they are.

    ``parent`` is the path (lxml) of the element that takes the signature as its last child; the root without it.

    The certificate's state is asked first; XAdES-B keeps no answer inside.

    Raises: ``InvalidInput`` (signing.xml-signed, signing.xml-no-place, xml.…); as `evidence_for`.
    """
    await evidence_for(signer)
    own = f"sig-{new_uuid(clock=clock)}"
    if detached is not None:
        signature = etree.Element(f"{{{DS}}}Signature", {"Id": own}, nsmap={"ds": DS})
        root = signature
        uri, digest, transforms = detached, sha256_b64(data), tuple[str, ...]()
    else:
        root = parse(data)
        if next(root.iter(f"{{{DS}}}Signature"), None) is not None:
            raise InvalidInput("signing.xml-signed", "Tài liệu XML đã có chữ ký.")
        place = root if parent is None else root.find(parent)
        if place is None:
            raise InvalidInput("signing.xml-no-place", "Tài liệu XML không có chỗ cho chữ ký.")
        uri, digest, transforms = "", sha256_b64(whole(root)), (ENVELOPED, C14N)
        signature = etree.SubElement(place, f"{{{DS}}}Signature", {"Id": own}, nsmap={"ds": DS})
    info = _add(signature, f"{{{DS}}}SignedInfo")
    _add(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=C14N)
    _add(info, f"{{{DS}}}SignatureMethod", Algorithm=METHODS[signer.certificate.public_key.algorithm])
    _add(signature, f"{{{DS}}}SignatureValue")
    holder = _add(_add(signature, f"{{{DS}}}KeyInfo"), f"{{{DS}}}X509Data")
    for certificate in (signer.certificate, *signer.chain):
        _add(holder, f"{{{DS}}}X509Certificate", b64(certificate.dump()))
    signed = _properties(signature, signer, own, clock.now())
    _reference(info, uri, digest, transforms)
    _reference(info, f"#{own}-props", sha256_b64(canonical(signed)), (C14N,), PROPERTIES)
    state = {"kind": "xades", "id": own, "xml": b64(serialize(root))}
    return Prepared(canonical(info), json.dumps(state).encode())


async def xades_finish(prepared: Prepared, signer: Signer, signature: bytes) -> bytes:
    """Last phase: the signed XML; the detached signature itself when it was prepared so."""
    state = loads_object(prepared.state, max_bytes=100_000_000)
    root = parse(base64.b64decode(state["xml"]))
    found = next(e for e in root.iter(f"{{{DS}}}Signature") if e.get("Id") == state["id"])
    value = found.find(f"{{{DS}}}SignatureValue")
    if value is None:
        raise InvalidInput("signing.xml-no-place", "Tài liệu XML không có chỗ cho chữ ký.")
    value.text = b64(_as_xml(signature, signer))
    return serialize(root)


def _as_xml(signature: bytes, signer: Signer) -> bytes:
    """ECDSA values are r and s side by side in XML (RFC 6931, 2.3.6)."""
    key = signer.certificate.public_key
    if key.algorithm == "rsa":
        return signature
    size = (int(key.bit_size) + 7) // 8
    return b"".join(n.to_bytes(size, "big") for n in decode_dss_signature(signature))


async def sign_xades(
    data: bytes,
    signer: Signer,
    *,
    detached: str | None = None,
    parent: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> bytes:
    """All phases at once; as `xades_prepare`."""
    prepared = await xades_prepare(data, signer, detached=detached, parent=parent, clock=clock)
    return await xades_finish(prepared, signer, await signer.sign_digest(prepared))
