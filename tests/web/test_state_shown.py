"""What the pages say of a signature whose certificate nobody could be asked about, and of one that turned out to be void."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from tests.signing.services import Service
from tests.web.test_acts import PIN, stay, value_of

from benhan import records, signing
from benhan.signing import asking, pki, pki_app, pki_folder

__all__ = ["stay"]


async def test_a_line_that_waits_is_not_called_signed_whole(
    house: Any, as_person: Any, stay: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed while the responder is away: the sheet says what it waits for. Revoked before: no value, and sign again."""
    monkeypatch.setattr(asking, "is_own", lambda settings, chain: False)  # an outside authority
    folder = pki_folder(house.store.settings)
    pki.create(folder)
    responder = Service(pki_app(folder))
    lists = (responder.url + "root.crl", responder.url + "ca.crl")
    told = {"ocsp_url": responder.url + "ocsp/", "crl_urls": lists, "revocation_away": "later"}
    house.store.settings = house.store.settings.model_copy(update=told)
    doctor = await as_person("bacsi")
    await doctor.see(f"/dot/{stay[1]}/benh-an")
    await doctor.press(f"/dot/{stay[1]}/benh-an", form="01/BV1")
    nurse = await as_person("dieuduong")
    await nurse.see(f"/dot/{stay[1]}/benh-an")
    await nurse.press(f"/dot/{stay[1]}/giay", form="LEGACY-CNS")
    sheet = nurse.where()
    happened = value_of(nurse.last.text, "happened")
    await nurse.press(sheet, happened=happened, do="sign", pin=PIN, **{"col-mach": "88"})
    assert "chờ trạng thái chứng thư" in nurse.last.text
    assert "✓ Đinh Thị Ví Dụ" not in nurse.last.text
    helper = await as_person("khth")
    assert "Chữ ký chờ dấu thời gian hoặc trạng thái chứng thư" in await helper.see("/luu-tru/suc-khoe")

    reference = house.people["dieuduong"].reference
    (key,) = await signing.KeyStore(house.repo).certificates_of(reference)
    clock = type("Earlier", (), {"now": lambda _: house.store.clock.now() - timedelta(minutes=4)})()
    pki.revoke(folder, key.certificate.serial_number, clock)
    await responder.on()
    try:
        async with house.repo.transaction() as tx:
            await tx.open_connection.execute(
                "update record_waiting set next_at = now() - interval '1 minute'"
            )
        tsa = signing.time_stamper(house.store.settings, of_seal=True)
        assert await records.complete_waiting(house.repo, tsa) == 1
        page = await nurse.see(sheet)
        assert "chữ ký không có giá trị" in page
        assert "chứng thư đã bị thu hồi từ" in page
        assert "chưa ký" in page
        (line,) = re.findall(rf"{sheet}/dong/([^/]+)/ky", page)
        await nurse.press(f"{sheet}/dong/{line}/ky", 403, pin=PIN)
        assert "Chứng thư chữ ký số đã bị thu hồi." in nurse.last.text
        assert "phải ký lại" in await helper.see("/luu-tru/suc-khoe")
    finally:
        await responder.off()
