"""Twenty invented packages: the stories a hospital meets, three of them spelled as real software spells them.

``python -m benhan.gateways.bhyt.samples FOLDER`` writes them; the same bytes every time.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from benhan.base.clock import VIETNAM
from benhan.gateways.bhyt.claim import (
    CardFacts,
    ClaimFacts,
    DrugLine,
    ProgressLine,
    ResultLine,
    ServiceLine,
    build_claim,
)
from benhan.gateways.bhyt.money import OtherSources
from benhan.gateways.bhyt.package import Package, write_package, write_table

_FACILITY = "51Z07"
_DOCTOR, _NURSE, _HEAD = "000123/QNG-GPHN", "000456/QNG-GPHN", "000001/QNG-GPHN"
_BASE = datetime(2026, 8, 3, 7, 30, tzinfo=VIETNAM)
_YEAR = (date(2026, 1, 1), date(2026, 12, 31))


@dataclass(frozen=True, slots=True)
class Story:
    """One invented đợt; ``days`` 0 is an outpatient visit of an hour and a half."""

    key: str
    name: str
    sex: str
    born: str
    code: str
    disease: str
    days: int = 0
    kind: str = "01"
    percent: str = "80"
    khoa: str = "K01"
    head: Mapping[str, str] = field(default_factory=dict)
    cards: tuple[CardFacts, ...] | None = None
    drugs: tuple[DrugLine, ...] = ()
    services: tuple[ServiceLine, ...] = ()
    weight: str = "56.00"
    results: tuple[ResultLine, ...] = ()
    papers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    variant: str = ""


def _at(hours: float) -> datetime:
    return _BASE + timedelta(hours=hours)


def _drug(name: str = "Paracetamol", quantity: str = "20", price: str = "350.5", **more: Any) -> DrugLine:
    return DrugLine(
        "40.48", name, "Viên", "500mg", "1.01", "1 viên/lần * 4 lần/ngày * 5 ngày [20 viên]", Decimal(quantity),
        Decimal(price), _at(1), "K01", _DOCTOR, registration="SYN-10001", tender="000/QĐ-MAU;G1;N1;2026", **more,
    )  # fmt: skip


def _visit(price: str = "36500") -> ServiceLine:
    return ServiceLine(
        "02.1896",
        "Khám Nội",
        "Lần",
        "13",
        Decimal(1),
        Decimal(price),
        _at(0.1),
        "K01",
        _DOCTOR,
        result_at=_at(1),
    )


def _lab(hours: float = 0.3) -> ServiceLine:
    return ServiceLine(
        "22.0120", "Tổng phân tích tế bào máu", "Lần", "1", Decimal(1), Decimal(46200), _at(hours), "K01", _DOCTOR,
        performer=_NURSE, done=_at(hours + 0.2), result_at=_at(hours + 0.7),
    )  # fmt: skip


def _image() -> ServiceLine:
    return ServiceLine(
        "18.0119", "Chụp X-quang ngực thẳng", "Lần", "2", Decimal(1), Decimal(65400), _at(0.4), "K01", _DOCTOR,
        performer=_DOCTOR, done=_at(0.6), result_at=_at(0.9),
    )  # fmt: skip


def _bed(days: int, khoa: str) -> ServiceLine:
    return ServiceLine(
        "K03.1917", "Giường Nội khoa loại 2", "Ngày", "15", Decimal(days), Decimal(187100), _at(2), khoa, _DOCTOR,
        bed="H012",
    )  # fmt: skip


def _operation(name: str, code: str, price: str) -> ServiceLine:
    return ServiceLine(
        code, name, "Lần", "8", Decimal(1), Decimal(price), _at(5), "K19", _DOCTOR, performer=_DOCTOR, done=_at(6),
        result_at=_at(8), more={"PP_VO_CAM": "1"},
    )  # fmt: skip


def _supply(price: str, ceiling: str) -> ServiceLine:
    return ServiceLine(
        "N06.04.020", "Nẹp vít (nhóm)", "Cái", "10", Decimal(2), Decimal(price), _at(6), "K24", _DOCTOR, supply=True,
        ceiling=Decimal(ceiling), more={"TT_THAU": "000/QĐ-MAU;G2;N1;2026"},
    )  # fmt: skip


def _needles() -> ServiceLine:
    return ServiceLine(
        "08.0005", "Điện châm", "Lần", "18", Decimal(1), Decimal(67300), _at(0.5), "K16", _DOCTOR, performer=_DOCTOR,
        done=_at(0.8), result_at=_at(1.2),
    )  # fmt: skip


def _herb(name: str, grams: str) -> DrugLine:
    taken = "10 gam/lần * 1 lần/ngày * 5 ngày [50 gam]"
    return replace(_drug(name, grams, "310"), code="05V.1", unit="Gam", strength="", dosage=taken, khoa="K16",
                   more={"MA_PP_CHEBIEN": "SC", "DANG_BAO_CHE": "Thuốc thang"})  # fmt: skip


def _culture() -> tuple[ServiceLine, ResultLine]:
    """A culture taken during the stay whose result comes three days after the patient has left."""
    taken = ServiceLine(
        "24.0003", "Nuôi cấy vi khuẩn, định danh và kháng sinh đồ", "Lần", "1", Decimal(1), Decimal(297000), _at(3),
        "K03", _DOCTOR, performer=_NURSE, done=_at(3.5), result_at=_at(180),
    )  # fmt: skip
    return taken, ResultLine(
        "24.0003", "", "", "", "", _at(180), _DOCTOR, "Cấy đờm", "Không mọc vi khuẩn gây bệnh"
    )


def _transfer() -> dict[str, dict[str, str]]:
    """XML13: the slip of a patient who is sent on."""
    return {"XML13": {
        "SO_HOSO": "HSCT-05", "SO_CHUYENTUYEN": "05/2026", "GIAY_CHUYEN_TUYEN": "12/2026", "MA_CSKCB_DI": _FACILITY,
        "MA_CSKCB_DEN": "51Z01", "DAU_HIEU_LS": "Khó thở khi nằm, phù hai chân.",
        "QT_BENHLY": "Suy tim tăng dần, đáp ứng kém với lợi tiểu.", "PP_DIEUTRI": "Lợi tiểu, thở oxy.",
        "TINH_TRANG_CT": "Tỉnh, huyết áp 100/60, SpO2 93%.", "MA_LYDO_CT": "1",
        "HUONG_DIEU_TRI": "Siêu âm tim, điều trị chuyên khoa.", "PHUONGTIEN_VC": "Xe cứu thương",
        "HOTEN_NGUOI_HT": "Điều dưỡng Phạm Thị Thử", "CHUCDANH_NGUOI_HT": "Điều dưỡng", "MA_BAC_SI": _DOCTOR,
        "MA_TTDV": _HEAD,
    }}  # fmt: skip


def _return_slip() -> dict[str, dict[str, str]]:
    """XML14: the appointment of a long illness."""
    return {"XML14": {"SO_GIAYHEN_KL": "HK-06", "NGAY_HEN_KL": "20260902", "MA_BAC_SI": _DOCTOR, "MA_TTDV": _HEAD,
                      "NGAY_CT": "20260803"}}  # fmt: skip


def _card(number: int, prefix: str = "DN4", percent: str = "80", **more: Any) -> CardFacts:
    values: dict[str, Any] = {"valid_from": _YEAR[0], "valid_to": _YEAR[1], **more}
    return CardFacts(f"{prefix}51{number:010d}", _FACILITY, percent=Decimal(percent), **values)


def _changed_cards() -> tuple[CardFacts, ...]:
    """One card ends on the second day, a better one begins the day after."""
    return (
        _card(4, valid_to=date(2026, 8, 4)),
        _card(5, "HN2", "100", valid_from=date(2026, 8, 5), starts=datetime(2026, 8, 5, tzinfo=VIETNAM)),
    )


def stories() -> list[Story]:
    """All stories, in order."""
    inpatient: dict[str, Any] = {"kind": "03", "khoa": "K03"}
    culture = _culture()
    changed = (replace(_bed(2, "K03")), replace(_bed(3, "K03"), ordered=_at(50)))
    return [
        Story("01-ngoai-tru", "Nguyễn Văn Mẫu", "1", "198005140000", "J20.9", "Viêm phế quản cấp",
              drugs=(_drug(), replace(_drug("Thuốc theo tỷ lệ", "2", "15000"), group="6", rate=Decimal(50)))),
        Story("02-noi-tru", "Trần Thị Thử", "2", "196203010000", "J18.9", "Viêm phổi", 5,
              services=(culture[0],), results=(culture[1],), **inpatient),
        Story("03-tre-the-tam", "Lê Bé Nghiệm", "1", "202505200000", "A09", "Tiêu chảy", 3, weight="9.50",
              cards=(replace(_card(3, "TE1", "100"), registered_at="51000"),), **inpatient),
        Story("04-doi-the-giua-dot", "Phạm Văn Đổi", "1", "197001010000", "I10", "Tăng huyết áp", 5,
              cards=_changed_cards(), services=changed, **inpatient),
        Story("05-chuyen-den-chuyen-di", "Võ Thị Chuyển", "2", "195500000000", "I50.9", "Suy tim", 6,
              cards=(_card(6, "HT3", "95"),), papers=_transfer(),
              head={"MA_NOI_DI": "51Z12", "MA_NOI_DEN": "51Z01", "MA_DOITUONG_KCB": "1.3", "MA_LOAI_RV": "2",
                    "GIAY_CHUYEN_TUYEN": "12/2026", "KET_QUA_DTRI": "4", "PP_DIEU_TRI": "Lợi tiểu, thở oxy."}, **inpatient),
        Story("06-benh-dai-ngay", "Đặng Văn Dài", "1", "196006150000", "E11.9", "Đái tháo đường típ 2", 0, "05",
              drugs=(_drug("Metformin", "60", "812"),), head={"NGAY_TAI_KHAM": "20260902"},
              papers=_return_slip()),
        Story("07-cap-cuu", "Bùi Thị Gấp", "2", "199107070000", "T78.4", "Phản vệ", 0, "09", khoa="K02",
              head={"MA_DOITUONG_KCB": "2"}),
        Story("08-tu-vong", "Hồ Văn Khuất", "1", "193809090000", "I21.9", "Nhồi máu cơ tim", 2,
              head={"KET_QUA_DTRI": "5", "MA_DOITUONG_KCB": "2"}, **inpatient),
        Story("09-phau-thuat", "Ngô Thị Mổ", "2", "198811110000", "K35.8", "Viêm ruột thừa cấp", 5, "03", khoa="K19",
              services=(_operation("Phẫu thuật nội soi cắt ruột thừa", "03.3328", "2564000"),)),
        Story("10-so-sinh", "Con bà Trần Thị Sinh", "2", "202608030815", "P59.9", "Vàng da sơ sinh", 4, weight="3.10",
              head={"MA_DOITUONG_KCB": "1.7", "SO_CCCD": ""}, cards=(_card(10, "TE1", "100"),), **inpatient),
        Story("11-yhct-tu-tra-mot-phan", "Dương Văn Trả", "1", "198302020000", "M54.5", "Đau lưng", khoa="K16",
              services=(_needles(),), head={"MA_BENH_YHCT": "U62.392", "PP_DIEU_TRI": "Y học cổ truyền"},
              drugs=(_herb("Độc hoạt", "50"), replace(_drug("Thực phẩm bổ sung", "1", "120000"), in_scope=False))),
        Story("12-khong-the", "Lý Thị Phí", "2", "200012120000", "J00", "Viêm mũi họng cấp", cards=(),
              head={"MA_DOITUONG_KCB": "9"}),
        Story("13-nguon-khac", "Mai Văn Trợ", "1", "197504040000", "B20", "Nhiễm HIV", 0, "05",
              drugs=(replace(_drug("Thuốc ARV", "30", "4500"), other=OtherSources(vtnn=Decimal(27000))),)),
        Story("14-vat-tu-co-tran", "Trịnh Thị Gãy", "2", "196812120000", "S52.5", "Gãy đầu dưới xương quay", 7, "03",
              khoa="K24", services=(_operation("Kết hợp xương", "10.0836", "3985000"), _supply("2500000", "1800000"))),
        Story("15-muc-huong-47-5", "Vũ Văn Lẻ", "1", "195202020000", "H25.9", "Đục thủy tinh thể",
              cards=(_card(15, "HT3", "47.5"),), head={"MA_DOITUONG_KCB": "1.14"}),
        Story("16-ban-ngay", "Đỗ Thị Ngày", "2", "198408080000", "M06.9", "Viêm khớp dạng thấp", 0, "04", khoa="K06",
              head={"LY_DO_VNT": "Truyền thuốc ban ngày", "NGAY_VAO_NOI_TRU": "202608030745"}),
        Story("17-dan-toc", "Hồ Thị Rem", "2", "197900000000", "B54", "Sốt rét", 4, cards=(_card(17, "DT2", "100"),),
              head={"MA_DANTOC": "38", "MA_KHUVUC": "K2"}, **inpatient),
        Story("18-bom", "Cao Văn Bom", "1", "198101010000", "K29.7", "Viêm dạ dày", variant="bom"),
        Story("19-hai-lop-base64", "Tạ Thị Lớp", "2", "199303030000", "N39.0", "Nhiễm khuẩn tiết niệu", variant="base64"),
        Story("20-dao-the", "Châu Văn Đảo", "1", "196505050000", "J44.9", "Bệnh phổi tắc nghẽn mạn tính", 6,
              variant="swapped", **inpatient),
    ]  # fmt: skip


def facts_of(story: Story, number: int) -> ClaimFacts:
    """The facts of a story."""
    left = _BASE + (timedelta(hours=1.5) if story.days == 0 else timedelta(days=story.days - 1, hours=8))
    inpatient = story.kind == "03"
    services = [_visit(), _lab(), _image()]
    if story.services:
        services += story.services
    if inpatient and not any(s.group == "15" for s in services):
        services.append(_bed(story.days, story.khoa))
    cards = (_card(number, percent=story.percent),) if story.cards is None else story.cards
    drugs = story.drugs or (_drug(),)
    paper = _paper(story) if inpatient else None
    summary = {
        "QT_BENHLY": f"Vào viện vì {story.disease.lower()}, điều trị ổn.",
        "TOMTAT_KQ": "Công thức máu, X-quang.",
    }
    return ClaimFacts(
        ma_lk=f"MAU-2026-{number:06d}",
        facility=_FACILITY,
        made_on=left.date(),
        arrived=_BASE,
        left=left,
        kind=story.kind,
        head=_head(story, number, left),
        cards=cards,
        drugs=tuple(drugs),
        services=tuple(services),
        results=(
            ResultLine("22.0120", "WBC", "Bạch cầu", "9.8", "10*9/L", _at(1), _DOCTOR),
            ResultLine("18.0119", "", "", "", "", _at(1.3), _DOCTOR, "Phổi hai bên sáng đều", "Bình thường"),
            *story.results,
        ),
        progress=(ProgressLine(f"Tỉnh, tiếp xúc tốt. Theo dõi {story.disease.lower()}.", _at(1.2), _DOCTOR),),
        discharge_paper=paper,
        summary=summary if inpatient else None,
        papers={table: (own,) for table, own in story.papers.items()},
    )


def _paper(story: Story) -> dict[str, str]:
    return {
        "SO_LUU_TRU": f"LT-{story.key[:2]}",
        "MA_KHOA_RV": story.khoa,
        "MA_BS": _DOCTOR,
        "TEN_BS": "Bác sĩ Lê Minh Thử",
        "MA_TTDV": _HEAD,
    }


def _head(story: Story, number: int, left: datetime) -> dict[str, str]:
    inpatient = story.kind == "03"
    return {
        "MA_BN": f"BN{number:07d}",
        "HO_TEN": story.name,
        "SO_CCCD": f"051{99 - number:02d}0{number:06d}",
        "NGAY_SINH": story.born,
        "GIOI_TINH": story.sex,
        "MA_QUOCTICH": "000",
        "MA_DANTOC": "01",
        "MA_NGHE_NGHIEP": "00",
        "DIA_CHI": "Thôn Mẫu, phường Nghĩa Lộ, tỉnh Quảng Ngãi",
        "MATINH_CU_TRU": "51",
        "MAXA_CU_TRU": "21028",
        "LY_DO_VV": story.disease,
        "LY_DO_VNT": story.disease if inpatient else "",
        "CHAN_DOAN_VAO": story.disease,
        "CHAN_DOAN_RV": story.disease,
        "MA_BENH_CHINH": story.code,
        "MA_DOITUONG_KCB": "1.1",
        "NGAY_VAO_NOI_TRU": "202608030830" if inpatient else "",
        "PP_DIEU_TRI": "Nội khoa",
        "KET_QUA_DTRI": "2",
        "MA_LOAI_RV": "1",
        "NGAY_TTOAN": (left + timedelta(minutes=20)).strftime("%Y%m%d%H%M"),
        "MA_KHOA": story.khoa if story.khoa == "K01" else f"K01;{story.khoa}",
        "CAN_NANG": story.weight,
        "MA_HSBA": f"HSBA{number:07d}",
        "MA_TTDV": _HEAD,
        **story.head,
    }


def package_of(story: Story, number: int) -> Package:
    """The package of a story, before its spelling."""
    return build_claim(facts_of(story, number))


def spelled(package: Package, variant: str) -> bytes:
    """The bytes, as correct software (``""``) or as real software writes them."""
    raw = write_package(package)
    if variant == "bom":
        return b"\xef\xbb\xbf" + raw
    if variant == "base64":
        return base64.b64encode(raw)
    if variant == "swapped":
        return _swapped(package)
    return raw


def _swapped(package: Package) -> bytes:
    """T_BHTT before T_BNTT, two empty tags left out, one tag of its own: seen in real exports."""
    rows = package.table("XML2")
    raw = write_package(package)
    straight = write_table("XML2", rows)
    text = straight
    for row in rows:
        own = f"<T_BNTT>{row.get('T_BNTT')}</T_BNTT>".encode()
        insurer = f"<T_BHTT>{row.get('T_BHTT')}</T_BHTT>".encode()
        text = text.replace(insurer, b"", 1).replace(own, insurer + own, 1)
    text = text.replace(b"<VET_THUONG_TP/>", b"").replace(b"<DU_PHONG/>", b"<GHI_CHU_RIENG>a</GHI_CHU_RIENG>")
    return raw.replace(base64.b64encode(straight), base64.b64encode(text))


def write_all(folder: Path) -> list[Path]:
    """Write every sample into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, story in enumerate(stories(), 1):
        path = folder / f"{story.key}.xml"
        path.write_bytes(spelled(package_of(story, number), story.variant))
        written.append(path)
    return written


if __name__ == "__main__":
    for made in write_all(Path(sys.argv[1])):
        print(made.name)  # noqa: T201
