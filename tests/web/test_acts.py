"""Single acts through the pages: first sign-in, look-alikes, withdrawal, transfer, history, the hub's page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from benhan import exchange, records
from benhan.access import new_totp_secret, onboard, totp_code
from benhan.base.errors import NeighbourFailed, NotAllowed
from benhan.base.settings import Settings
from benhan.exchange.facility import HistoryItem
from benhan.identity import PersonInput
from benhan.store import Actor, Ctx, Store, SystemPolicy
from benhan.web import create_app

PASSWORD, PIN = "Mat-khau-kiem-thu-2026", "246810"


@pytest.fixture
async def stay(house: Any) -> tuple[str, str]:
    """A patient under treatment in K03 with an opened record; ids of patient and đợt."""
    repo, now = house.repo, house.store.clock.now()
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    patient = await records.register_patient(
        repo, PersonInput(name="Phạm Văn Kiểm Thử", birth_date="1990-03-14", sex="male", cccd="051090001234")
    )
    bed = records.Bed("201", "H001")
    admitted = await records.admit(
        repo, records.Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", doctor, bed=bed)
    )
    return patient.id, admitted.encounter.id


def value_of(html: str, name: str) -> str:
    """Value that stands in an input."""
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', html)
    assert found, name
    return found[1]


async def test_first_sign_in_asks_for_code_and_password(house: Any, browser: Callable[[], Any]) -> None:
    """A temporary password opens nothing but its own change."""
    secret = new_totp_secret()
    await onboard(
        house.repo, "moi", PASSWORD, "Người Mới", [("tiep_don", None)], totp_secret=secret, must_change=True
    )
    one = browser()
    await one.see("/dang-nhap")
    code = totp_code(secret, house.store.clock.now())
    await one.press("/dang-nhap", co_so="51Z01", ten="moi", mat_khau=PASSWORD, ma=code)
    assert one.where() == "/doi-mat-khau"
    await one.see("/tiep-don")
    assert one.where() == "/doi-mat-khau"
    await one.press("/doi-mat-khau", 400, cu=PASSWORD, moi="Mat-khau-moi-hon-2026", lai="khac")
    await one.press("/doi-mat-khau", cu=PASSWORD, moi="Mat-khau-moi-hon-2026", lai="Mat-khau-moi-hon-2026")
    assert "Đã đổi mật khẩu" in one.last.text
    assert one.where() == "/dang-nhap"


async def test_look_alike_is_shown_before_registering(as_person: Any, stay: tuple[str, str]) -> None:
    """Somebody with nearly the same data is shown side by side; a tick is needed to go on."""
    desk = await as_person("tiepdon")
    await desk.see("/tiep-don")
    person = {"name": "Pham Van Kiem Thu", "birth_date": "14/03/1990", "sex": "male"}
    text = await desk.press("/tiep-don/dang-ky", 422, **person)
    assert "PHẠM VĂN KIỂM THỬ" in text
    assert stay[0] in text
    assert "khac_nguoi" in text
    await desk.press("/tiep-don/dang-ky", **person, khac_nguoi="1")
    assert desk.where().startswith("/tiep-don/nhap-vien/")
    assert stay[0] not in desk.where()


async def test_bad_scan_is_said_beside_the_field(as_person: Any) -> None:
    """A broken QR text stays in the field with a sentence."""
    desk = await as_person("tiepdon")
    await desk.see("/tiep-don")
    text = await desk.press("/tiep-don/quet", 400, quet="051090001234|x")
    assert "hãy quét lại" in text
    assert "051090001234|x" in text


async def test_transfer_ends_when_the_other_khoa_accepts(
    house: Any, as_person: Any, stay: tuple[str, str]
) -> None:
    """Asked by one khoa, accepted with a bed by the other; the chain of stays shows both."""
    doctor = await as_person("bacsi")
    text = await doctor.see(f"/dot/{stay[1]}")
    await doctor.press(
        f"/dot/{stay[1]}/chuyen-khoa",
        to_khoa="K04",
        happened=value_of(text, "happened"),
        reason="Theo dõi tim mạch",
    )
    text = doctor.last.text
    assert "Chờ nhận chuyển khoa: Khoa Nội tim mạch" in text
    task = re.search(rf"/dot/{stay[1]}/nhan/([^\"]+)", text)
    assert task
    await doctor.press(
        f"/dot/{stay[1]}/nhan/{task[1]}", happened=value_of(text, "happened"), room="305", bed="H014",
        doctor=house.people["bacsi"].reference,
    )  # fmt: skip
    assert "305 · H014" in doctor.last.text


async def test_withdrawn_signature_says_so(house: Any, as_person: Any, stay: tuple[str, str]) -> None:
    """A signature is withdrawn with a reason; without one the page asks for it."""
    doctor = await as_person("bacsi")
    await doctor.see(f"/dot/{stay[1]}/to-dieu-tri")
    await doctor.press(f"/dot/{stay[1]}/to-dieu-tri")
    sheet = doctor.where().rsplit("/", 1)[-1]
    happened = value_of(doctor.last.text, "happened")
    await doctor.press(f"/to/{sheet}", 403, happened=happened, progress="Đỡ ho.", do="sign", pin="000000")
    assert "PIN ký không đúng" in doctor.last.text
    assert "Đỡ ho." in doctor.last.text
    await doctor.press(f"/to/{sheet}", happened=happened, progress="Đỡ ho.", do="sign", pin=PIN)
    await doctor.press(f"/to/{sheet}/ket-thuc", pin=PIN)
    await doctor.see(f"/giay/{sheet}/ky")
    await doctor.press(f"/giay/{sheet}/rut", 422, reason="")
    assert "Cần nêu lý do" in doctor.last.text


async def test_autosave_takes_patches_once(house: Any, as_person: Any, stay: tuple[str, str]) -> None:
    """Patches are durable when answered; an older one never wins; what is not a patch is refused."""
    doctor = await as_person("bacsi")
    await doctor.see(f"/dot/{stay[1]}/benh-an")
    await doctor.press(f"/dot/{stay[1]}/benh-an", form="01/BV1")
    paper, token = doctor.where().rsplit("/", 1)[-1], doctor.csrf()

    async def patch(value: Any, seq: int, csrf: str = token) -> httpx.Response:
        body = {"patches": [{"field": "ly_do", "value": value, "at": "2026-11-22T14:05:00.000Z", "seq": seq}]}
        headers = {"X-CSRF-Token": csrf, "Accept": "application/json"}
        answer: httpx.Response = await doctor.post(f"/giay/{paper}/nhap", json=body, headers=headers)
        return answer

    assert (await patch("Sốt cao", 10)).status_code == 200
    assert (await patch("cũ hơn", 5)).status_code == 200
    assert (await patch(7, 11)).status_code == 400
    assert (await patch("x", 12, csrf="sai")).status_code == 403
    text = await doctor.see(f"/giay/{paper}")
    assert 'value="Sốt cao"' in text
    assert "chưa Lưu thành bản" in text
    nurse = await as_person("dieuduong")
    assert "Sốt cao" not in await nurse.see(f"/giay/{paper}")


async def test_history_is_refused_then_opened_by_break_glass(
    as_person: Any, stay: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a right the page says which ones there are; break-glass needs a real reason; then documents are listed."""
    asked: list[tuple[str, str]] = []

    async def history(repo: Any, patient_id: str, requester: Any) -> list[HistoryItem]:
        if not asked:
            raise NotAllowed("exchange.no-right", "Chưa có quyền xem tài liệu của người bệnh này.")
        return [
            HistoryItem(
                "a" * 64,
                "Giấy ra viện",
                "x",
                "51002",
                "2026-11-01T08:00:00+07:00",
                "BS Mẫu",
                "application/pdf",
                "",
            )
        ]

    async def right(
        repo: Any, patient_id: str, kind: str, reason: str, requester: Any, **more: Any
    ) -> dict[str, Any]:
        asked.append((kind, reason))
        return {}

    async def summary(*_: Any) -> dict[str, Any]:
        line = "<div><ul><li>Penicillin &lt;b&gt; · Bệnh viện Thử</li></ul></div>"
        section = {"title": "Dị ứng", "text": {"status": "generated", "div": line}}
        return {"entry": [{"resource": {"resourceType": "Composition", "section": [section]}}]}

    monkeypatch.setattr(exchange, "province_history", history)
    monkeypatch.setattr(exchange, "province_summary", summary)
    monkeypatch.setattr(exchange, "ask_right", right)
    url = f"/nguoi-benh/{stay[0]}/benh-su-tinh"
    doctor = await as_person("bacsi")
    await doctor.see(url)
    assert "Chưa có quyền xem" in await doctor.press(url)
    await doctor.press(f"{url}/quyen", 400, kind="break-glass", reason="gấp")
    assert "ít nhất 10 chữ" in doctor.last.text
    await doctor.press(f"{url}/quyen", 400, kind="consent", reason="Người bệnh đồng ý cho xem")
    assert "Đính kèm phiếu đồng ý" in doctor.last.text
    await doctor.press(f"{url}/quyen", kind="break-glass", reason="Cấp cứu, hôn mê, không có người nhà")
    assert asked == [("break-glass", "Cấp cứu, hôn mê, không có người nhà")]
    await _review_the_opening(doctor, await as_person("khth"))
    text = await doctor.press(url)
    assert "Giấy ra viện" in text
    assert "01/11/2026 08:00" in text
    assert "Penicillin &lt;b&gt; · Bệnh viện Thử" in text


async def _review_the_opening(doctor: Any, office: Any) -> None:
    """What was opened is on the list with its reason; a verdict needs its ground; the opener has no say; then it is gone."""
    await doctor.see("/mo-khan-cap", 403)
    listed = await office.see("/mo-khan-cap")
    assert "Cấp cứu, hôn mê, không có người nhà" in listed
    target = re.search(r'action="(/mo-khan-cap/[^"]+)"', listed)
    assert target
    await office.press(target[1], 400, verdict="justified", note="ngắn")
    assert "nêu căn cứ" in office.last.text
    told = await office.press(target[1], verdict="justified", note="Đối chiếu sổ cấp cứu: đúng")
    assert "Không có lần mở khẩn cấp nào chờ xét" in told


async def test_absent_hub_does_not_stop_the_ward(
    as_person: Any, stay: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the hub is away the page says so and everything else goes on."""

    async def history(*_: Any) -> list[HistoryItem]:
        raise NeighbourFailed("exchange.hub-away", "Không nối được trục liên thông; sẽ thử lại.")

    monkeypatch.setattr(exchange, "province_history", history)
    doctor = await as_person("bacsi")
    await doctor.see(f"/nguoi-benh/{stay[0]}/benh-su-tinh")
    text = await doctor.press(f"/nguoi-benh/{stay[0]}/benh-su-tinh")
    assert "Trục liên thông chưa trả lời" in text


@pytest.mark.parametrize(("outcome", "words"), [("queued", "chờ giám định"), ("error", "từ chối")])
async def test_portal_answer_stands_on_the_record(
    house: Any, as_person: Any, stay: tuple[str, str], outcome: str, words: str
) -> None:
    """The claim of the đợt shows when it was sent and what the portal said, with its own codes."""
    common = {
        "status": "active",
        "type": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "institutional"}
            ]
        },
        "use": "claim",
        "patient": {"reference": f"Patient/{stay[0]}"},
        "created": "2026-11-22T14:05:00+07:00",
        "insurer": {"display": "Bảo hiểm xã hội Việt Nam"},
    }
    claim = await house.repo.create(
        {
            "resourceType": "Claim",
            **common,
            "provider": {"display": "Bệnh viện Thử nghiệm"},
            "priority": {"coding": [{"code": "normal"}]},
            "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": "Thẻ"}}],
            "item": [
                {
                    "sequence": 1,
                    "productOrService": {"text": "XML1"},
                    "encounter": [{"reference": f"Encounter/{stay[1]}"}],
                }
            ],
        }
    )
    await house.repo.create(
        {
            "resourceType": "ClaimResponse",
            **common,
            "request": {"reference": f"Claim/{claim.id}"},
            "outcome": outcome,
            "disposition": "Cổng BHYT trả lời",
            **(
                {"error": [{"code": {"coding": [{"code": "XML1.GIOI_TINH"}], "text": "Sai giới tính"}}]}
                if outcome == "error"
                else {}
            ),
        }
    )
    doctor = await as_person("bacsi")
    text = await doctor.see(f"/dot/{stay[1]}")
    assert words in text
    assert "Cổng BHYT trả lời" in text
    assert ("XML1.GIOI_TINH" in text) == (outcome == "error")


@pytest.fixture
async def hub_page(settings: Settings) -> AsyncIterator[Any]:
    """The hub's pages with a person of the Department signed in."""
    from importlib import import_module

    chosen = settings.model_copy(update={"role": "hub"})
    store = await Store.open(chosen)
    try:
        hub = await store.create_tenant("hub", "51-HUB", "Trục liên thông tỉnh thử nghiệm")
        await store.create_tenant("facility", "51Z01", "Bệnh viện Thử nghiệm")
        repo = store.repo(Ctx(tenant=hub, actor=Actor("Device/test", "Kiểm thử", "system")), SystemPolicy())
        secret = new_totp_secret()
        await onboard(
            repo,
            "soyte",
            PASSWORD,
            "Huỳnh Văn Mẫu",
            [("so_y_te", None)],
            totp_secret=secret,
            must_change=False,
        )
        transport = httpx.ASGITransport(app=create_app(store, chosen))
        async with httpx.AsyncClient(
            transport=transport, base_url="https://hub", follow_redirects=True
        ) as one:
            page = await one.get("/dang-nhap")
            found = re.search(r'name="csrf" value="([^"]+)"', page.text)
            assert found
            code = totp_code(secret, store.clock.now())
            yield await one.post(
                "/dang-nhap",
                data={"csrf": found[1], "co_so": "51-HUB", "ten": "soyte", "mat_khau": PASSWORD, "ma": code},
            )
        assert import_module("benhan.oversight")
    finally:
        await store.close()


async def test_department_sees_facilities_not_patients(hub_page: httpx.Response) -> None:
    """The Department lands on its page: every facility, also one that never reported; no search for patients."""
    assert hub_page.url.path == "/so-y-te"
    assert "Bệnh viện Thử nghiệm" in hub_page.text
    assert "chưa báo cáo lần nào" in hub_page.text
    assert 'action="/tim"' not in hub_page.text
