"""The signed papers of a đợt as tags of XML7, XML8, XML9, XML13 and XML14. A paper that nobody has signed does not travel.

XML8 is the bản tóm tắt hồ sơ bệnh án (TT25/2025-M03) that the head has signed, else the summary in the record's template
under a signature that covers it. XML9 is the giấy chứng sinh (TT22/2025-M01), one paper and one row for each child.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benhan import records
from benhan.base.clock import local_date, parse_instant
from benhan.gateways.bhyt.claim import minute
from benhan.gateways.bhyt.package import today_text
from benhan.gateways.bhyt.record_reader import Reader
from benhan.gateways.bhyt.tables import tables
from benhan.identity import name_of, person_of
from benhan.records import Paper, Signature

_SUMMARY = {"QT_BENHLY": "tk_qua_trinh", "TOMTAT_KQ": "tk_can_lam_sang", "PP_DIEUTRI": "tk_phuong_phap"}
_PAPER = {
    "GHI_CHU": "ghi_chu",
    "PP_DIEUTRI": "pp_dieutri",
    "HO_TEN_CHA": "ho_ten_cha",
    "HO_TEN_ME": "ho_ten_me",
    "SO_NGAY_NGHI": "so_ngay_nghi",
    "NGUYENNHAN_DINHCHI": "nguyennhan_dinhchi",
    "TUOI_THAI": "tuoi_thai",
}
#: own tags of XML8 → items of TT25/2025-M03
_ABSTRACT = {
    "QT_BENHLY": "qt_benhly",
    "TOMTAT_KQ": "tomtat_kq",
    "PP_DIEUTRI": "pp_dieutri",
    "HO_TEN_CHA": "ho_ten_cha",
    "HO_TEN_ME": "ho_ten_me",
    "NGUOI_GIAM_HO": "nguoi_giam_ho",
    "DON_VI": "don_vi",
    "GHI_CHU": "loi_dan",
}
_BIRTH_FORM = "TT22/2025-M01"
#: items of the giấy chứng sinh named otherwise than their tag of XML9; all others are the tag in small letters
_BIRTH_ITEMS = {"MA_QUOCTICH": "ma_quoctich_nnd"}
_BIRTH_DAYS = ("NGAYSINH_NND", "NGAYCAP_CCCD_NND", "NGAY_CT")
_NOT_WEIGHED = "Không cân"
_SIGNER, _HEAD = "nguoi_hanh_nghe", "dai_dien_don_vi"
#: papers of one row: form → table, own tag → item of the form, role of the doctor, role of the head
_SLIPS: Mapping[str, tuple[str, Mapping[str, str], str, str]] = {
    "TT01/2025-PL6": (
        "XML13",
        {
            "SO_HOSO": "so_hoso", "SO_CHUYENTUYEN": "so_chuyentuyen", "GIAY_CHUYEN_TUYEN": "so_chuyentuyen",
            "MA_CSKCB_DEN": "ma_noi_den", "DAU_HIEU_LS": "dau_hieu_ls", "QT_BENHLY": "qt_benhly",
            "TOMTAT_KQ": "tomtat_kq", "PP_DIEUTRI": "pp_dieutri", "TINH_TRANG_CT": "tinh_trang_luc_chuyen",
            "MA_LYDO_CT": "ma_lydo_ct", "HUONG_DIEU_TRI": "huong_dieu_tri", "PHUONGTIEN_VC": "phuongtien_vc",
            "HOTEN_NGUOI_HT": "hoten_nguoi_ht", "CHUCDANH_NGUOI_HT": "chucdanh_nguoi_ht",
        },
        "bac_si",
        "nguoi_chuyen",
    ),
    "TT01/2025-PL5": (
        "XML14",
        {"SO_GIAYHEN_KL": "so_giayhen_kl", "NGAY_HEN_KL": "ngay_hen_kl"},
        "bac_si",
        "dai_dien_co_so",
    ),
}  # fmt: skip
_CODED = frozenset({"MA_CSKCB_DEN", "MA_LYDO_CT"})


async def read_papers(reader: Reader) -> tuple[dict[str, str] | None, dict[str, str] | None, str]:
    """XML7, XML8 and the licence of the head of the facility; None for a paper that is not signed."""
    discharge: dict[str, str] | None = None
    summary: dict[str, str] | None = None
    abstract: dict[str, str] | None = None
    director = ""
    for paper in await records.papers(reader.repo, reader.here.encounter_id):
        if paper.form_code == "TT25/2025-M02":
            standing = {s.role: s for s in paper.signatures if s.standing}
            director = await _signer(reader, standing.get(_HEAD))
            if _SIGNER in standing:
                discharge = await _discharge(reader, paper, standing[_SIGNER])
        elif paper.form_code == "TT25/2025-M03":
            abstract = await _abstract(reader, paper) or abstract
        else:
            summary = await _summary(reader, paper) or summary
    for papers in (discharge, summary):
        if papers is not None and director:
            papers["MA_TTDV"] = director
    child, summary = await _child(reader), abstract or summary
    if discharge is not None:
        discharge = {**child, **discharge}
    if summary is not None:
        summary = {**{tag: text for tag, text in child.items() if tag != "MA_ME"}, **summary}
    return discharge, summary, director


async def _child(reader: Reader) -> dict[str, str]:
    """MA_THE_TAM, and who the mother of a newborn is, where the papers do not say it."""
    rights = await records.entitlement_line(reader.repo, reader.here.encounter_id)
    found = {"MA_THE_TAM": next((r.card for r in rights if r.temporary), "")}
    person = person_of(await reader.get(f"Patient/{reader.here.patient_id}"))
    if person.mother_id:
        mother = await reader.get(f"Patient/{person.mother_id}")
        found |= {"HO_TEN_ME": name_of(mother), "MA_ME": person_of(mother).bhxh} if mother else {}
    return {tag: text for tag, text in found.items() if text}


async def _discharge(reader: Reader, paper: Paper, doctor: Signature) -> dict[str, str]:
    """Own tags of XML7, from the giấy ra viện that ``doctor`` has signed."""
    answers = await records.paper_answers(reader.repo, paper.response.id)
    found = {tag: _text(answers.get(key)) for tag, key in _PAPER.items() if answers.get(key)}
    found |= {
        "SO_LUU_TRU": reader.here.so_luu_tru or reader.here.so_benh_an or "",
        "MA_KHOA_RV": reader.here.khoa,
        "MA_BS": await _signer(reader, doctor),
        "TEN_BS": doctor.name,
        "NGAY_CT": _day(answers.get("ngay_ct")) or minute(reader.here.discharged_at)[:8],
        "MA_DINH_CHI_THAI": "1" if answers.get("ma_dinh_chi_thai") in (True, "1") else "0",
    }
    for tag, key in (("NGOAITRU_TUNGAY", "ngoaitru_tungay"), ("NGOAITRU_DENNGAY", "ngoaitru_denngay")):
        found[tag] = _day(answers.get(key))
    return found


async def _abstract(reader: Reader, paper: Paper) -> dict[str, str] | None:
    """Own tags of XML8, from the bản tóm tắt hồ sơ bệnh án; None while the head has not signed it."""
    head = next((s for s in paper.signatures if s.standing and s.role == _HEAD), None)
    if head is None:
        return None
    answers = await records.paper_answers(reader.repo, paper.response.id)
    found = {tag: _text(answers.get(key)) for tag, key in _ABSTRACT.items() if answers.get(key)}
    day = _day(answers.get("ngay_ct"))
    return found | {"MA_TTDV": await _signer(reader, head)} | ({"NGAY_CT": day} if day else {})


async def _summary(reader: Reader, paper: Paper) -> dict[str, str] | None:
    """Own tags of XML8, from the summary in the template; None unless somebody has signed this very text."""
    answers = await records.paper_answers(reader.repo, paper.response.id)
    if not (answers.get("tk_qua_trinh") and answers.get("tk_can_lam_sang")):
        return None
    for version in {s.version for s in paper.signatures if s.standing}:
        signed = await records.paper_answers(reader.repo, paper.response.id, version)
        if all(signed.get(key) == answers.get(key) for key in _SUMMARY.values()):
            return {tag: _text(answers.get(key)) for tag, key in _SUMMARY.items() if answers.get(key)}
    return None


async def read_births(reader: Reader) -> tuple[dict[str, str], ...]:
    """Own tags of XML9, a row for each giấy chứng sinh under the signatures of midwife and head, in the order of birth.

    A paper issued again keeps its code (TT 22/2025): the last one of a code counts.
    """
    mother = await reader.get(f"Patient/{reader.here.patient_id}")
    vietnamese = {} if person_of(mother).nationality else {"MA_QUOCTICH": "000"}
    found: dict[str, dict[str, str]] = {}
    for paper in await records.papers(reader.repo, reader.here.encounter_id):
        standing = {s.role: s for s in paper.signatures if s.standing}
        if paper.form_code == _BIRTH_FORM and {"nguoi_do_de", "dai_dien_co_so"} <= standing.keys():
            answers = await records.paper_answers(reader.repo, paper.response.id)
            own = vietnamese | _birth(answers)
            head = await _signer(reader, standing["dai_dien_co_so"])
            found[own.get("SO") or paper.response.id] = own | {"MA_TTDV": head}
    return tuple(sorted(found.values(), key=lambda row: (row["NGAY_SINH_CON"], row.get("SO", ""))))


def _birth(answers: Mapping[str, Any]) -> dict[str, str]:
    own: dict[str, str] = {}
    for tag in tables()["XML9"].names():
        value = answers.get(_BIRTH_ITEMS.get(tag, tag.lower()))
        if tag == "NGAY_SINH_CON":
            own[tag] = minute(parse_instant(str(value))) if value else ""
        elif tag in _BIRTH_DAYS:
            own[tag] = _day(value).ljust(8, "0") if value else ""
        elif isinstance(value, Mapping):
            own[tag] = str(value.get("code") or "")
        elif value not in (None, "", _NOT_WEIGHED):
            own[tag] = str(value)
    operated, early = (answers.get(k) is True for k in ("sinhcon_phauthuat", "sinhcon_duoi32tuan"))
    own |= {"SINHCON_PHAUTHUAT": str(int(operated)), "SINHCON_DUOI32TUAN": str(int(early))}
    said = (("Sinh con phải phẫu thuật", operated), ("Sinh con dưới 32 tuần tuổi", early))
    own["GHI_CHU"] = "; ".join(text for text, holds in said if holds)
    return own


async def read_slips(reader: Reader) -> dict[str, tuple[dict[str, str], ...]]:
    """Own tags of the referral slip (XML13) and of the appointment (XML14), the last of each that a doctor has signed."""
    found: dict[str, tuple[dict[str, str], ...]] = {}
    for paper in await records.papers(reader.repo, reader.here.encounter_id):
        if paper.form_code not in _SLIPS:
            continue
        table, tags, doctor, head = _SLIPS[paper.form_code]
        standing = {s.role: s for s in paper.signatures if s.standing}
        if doctor not in standing:
            continue
        answers = await records.paper_answers(reader.repo, paper.response.id)
        own = {tag: _slip_text(tag, answers.get(key)) for tag, key in tags.items() if answers.get(key)}
        own |= {
            "MA_BAC_SI": await _signer(reader, standing[doctor]),
            "MA_TTDV": await _signer(reader, standing.get(head)),
        }
        if table == "XML13":
            own["MA_CSKCB_DI"] = reader.facility
        else:
            own["NGAY_CT"] = today_text(local_date(standing[doctor].at))
        found[table] = (own,)
    return found


def _slip_text(tag: str, value: Any) -> str:
    if tag == "NGAY_HEN_KL":
        return _day(value)
    if tag in _CODED and isinstance(value, Mapping):
        return str(value.get("code") or "")
    return _text(value)


async def _signer(reader: Reader, signature: Signature | None) -> str:
    """Licence of who signed, as it stands in the signature's Provenance."""
    if signature is None:
        return ""
    proof = await reader.get(f"Provenance/{signature.provenance_id}")
    return await reader.licence(proof.get("agent", [{}])[0].get("who"))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("text") or value.get("code") or "")
    return "" if value is None else str(value)


def _day(value: Any) -> str:
    return str(value)[:10].replace("-", "") if value else ""
