"""URIs of identifier systems, code systems and extensions used in resources.

Our own are ``urn:benhan:*`` and stable. ``VN_CORE`` maps them to the draft of the community guide (VN Core); the
draft may move, our URNs do not (decision 1).
"""

from __future__ import annotations

from typing import Final

# Identifiers
CCCD: Final = "urn:benhan:id:cccd"
CMND: Final = "urn:benhan:id:cmnd"
PASSPORT: Final = "urn:benhan:id:ho-chieu"
BHYT: Final = "urn:benhan:id:bhyt"
BHXH: Final = "urn:benhan:id:bhxh"
MA_BN: Final = "urn:benhan:id:ma-bn"
TMP: Final = "urn:benhan:id:tam"
SO_BENH_AN: Final = "urn:benhan:id:so-benh-an"
SO_VAO_VIEN: Final = "urn:benhan:id:so-vao-vien"
SO_LUU_TRU: Final = "urn:benhan:id:so-luu-tru"
SO_RA_VIEN: Final = "urn:benhan:id:so-ra-vien"
SO_PHIEU: Final = "urn:benhan:id:so-phieu"
MA_Y_TE: Final = "urn:benhan:id:ma-y-te"
CCHN: Final = "urn:benhan:id:cchn"
MA_CSKCB: Final = "urn:benhan:id:ma-cskcb"
MA_LK: Final = "urn:benhan:ma-lk"

# Code systems
MA_KHOA: Final = "urn:benhan:ma-khoa"
GIUONG: Final = "urn:benhan:giuong"
ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
ATC: Final = "http://www.whocc.no/atc"
LAB: Final = "urn:benhan:lab"
DRUG: Final = "urn:benhan:thuoc"
SERVICE: Final = "urn:benhan:dvkt"
FORM: Final = "urn:benhan:mau"
OUTCOME: Final = "urn:benhan:ket-cuc"
MA_LOAI_RV: Final = "urn:benhan:ma-loai-rv"
KET_QUA_DTRI: Final = "urn:benhan:ket-qua-dtri"
MA_LOAI_KCB: Final = "urn:benhan:ma-loai-kcb"
MA_DOITUONG_KCB: Final = "urn:benhan:ma-doituong-kcb"
DIAGNOSIS_STAGE: Final = "urn:benhan:giai-doan-chan-doan"
DOCUMENT_KIND: Final = "urn:benhan:loai-tai-lieu"
SIGNER_ROLE: Final = "urn:benhan:vai-tro-ky"
PAYER: Final = "urn:benhan:nguon-chi"
TASK: Final = "urn:benhan:viec"
COMMUNE: Final = "urn:benhan:xa"
PROVINCE: Final = "urn:benhan:tinh"
ETHNICITY: Final = "urn:benhan:dan-toc"
OCCUPATION: Final = "urn:benhan:nghe-nghiep"

# Code values of our own systems that several rooms use
BINDER_TYPE: Final = "ho-so-benh-an"
DOC_PAPER: Final = "giay"
DOC_CONTAINER: Final = "ho-so-niem-phong"
DOC_ADDENDUM: Final = "ho-so-bo-sung"
DOC_CLAIM: Final = "ho-so-xml"
DOC_SCAN: Final = "ban-so-hoa"

# Extensions
EXT_LATE: Final = "urn:benhan:late-entry"
EXT_STATE: Final = "urn:benhan:record-state"
EXT_SHEET: Final = "urn:benhan:sheet"
EXT_AMENDMENT: Final = "urn:benhan:amendment-reason"
EXT_PERSON_STATUS: Final = "urn:benhan:person-status"
EXT_BIRTH_ORDER: Final = "urn:benhan:birth-order"
#: how an order was given
ORDER_WAY: Final = "urn:benhan:y-lenh"
SPOKEN: Final = "mieng"
EXT_MOTHER: Final = "urn:benhan:mother"
EXT_UNVERIFIED: Final = "urn:benhan:scanned-unverified"
EXT_ETHNICITY: Final = "urn:benhan:ext:dan-toc"
EXT_OCCUPATION: Final = "urn:benhan:ext:nghe-nghiep"
EXT_FACT: Final = "urn:benhan:fact:"
EXT_LINK_ID: Final = "urn:benhan:link-id"
EXT_NUMBER: Final = "urn:benhan:so"
EXT_PRINTED_ON: Final = "urn:benhan:form-version"
EXT_MACHINE: Final = "urn:benhan:ma-may"

#: Our system → system of the VN Core draft (0.6.0). Unlisted systems have no counterpart there.
VN_CORE: Final[dict[str, str]] = {
    CCCD: "http://fhir.hl7.org.vn/core/sid/cccd",
    BHYT: "http://fhir.hl7.org.vn/core/sid/bhyt",
    CCHN: "http://fhir.hl7.org.vn/core/sid/practice-license",
}
