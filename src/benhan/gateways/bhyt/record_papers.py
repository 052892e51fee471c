"""The signed papers of a đợt as tags of XML7, XML8, XML13 and XML14."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benhan import records
from benhan.base.clock import local_date
from benhan.gateways.bhyt.claim import minute
from benhan.gateways.bhyt.package import today_text
from benhan.gateways.bhyt.record_reader import Reader
from benhan.records import Signature

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
    """XML7, XML8 and the licence of the head of the facility."""
    discharge: dict[str, str] | None = None
    summary: dict[str, str] | None = None
    director = ""
    for paper in await records.papers(reader.repo, reader.here.encounter_id):
        answers = await records.paper_answers(reader.repo, paper.response.id)
        if paper.form_code == "TT25/2025-M02":
            standing = {s.role: s for s in paper.signatures if s.standing}
            doctor, head = standing.get(_SIGNER), standing.get(_HEAD)
            director = await _signer(reader, head)
            discharge = {tag: _text(answers.get(key)) for tag, key in _PAPER.items() if answers.get(key)}
            discharge |= {
                "SO_LUU_TRU": reader.here.so_luu_tru or reader.here.so_benh_an or "",
                "MA_KHOA_RV": reader.here.khoa,
                "MA_BS": await _signer(reader, doctor),
                "TEN_BS": doctor.name if doctor else "",
                "NGAY_CT": _day(answers.get("ngay_ct")) or minute(reader.here.discharged_at)[:8],
                "MA_DINH_CHI_THAI": "1" if answers.get("ma_dinh_chi_thai") in (True, "1") else "0",
            }
            for tag, key in (
                ("NGOAITRU_TUNGAY", "ngoaitru_tungay"),
                ("NGOAITRU_DENNGAY", "ngoaitru_denngay"),
            ):
                discharge[tag] = _day(answers.get(key))
        elif all(answers.get(key) for key in ("tk_qua_trinh", "tk_can_lam_sang")):
            summary = {tag: _text(answers.get(key)) for tag, key in _SUMMARY.items() if answers.get(key)}
    for papers in (discharge, summary):
        if papers is not None and director:
            papers["MA_TTDV"] = director
    return discharge, summary, director


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
