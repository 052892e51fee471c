"""Signing keys: whose, where they are, until when; enrolled, asked for, suspended, revoked. And everybody's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from asn1crypto import x509
from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.routing import Route

from benhan.access import SignedIn
from benhan.base.errors import InvalidInput, Issue, NotFound, RuleViolation
from benhan.base.text import squeeze
from benhan.catalogue import systems
from benhan.signing import (
    KINDS,
    HeldKey,
    KeyStore,
    NewKey,
    add_key,
    all_keys,
    drop_request,
    enrol_request,
    open_requests,
    request_key,
)
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

ADDRESS, MINE = "/khoa-ky", "/khoa-ky/cua-toi"
#: a key is marked so long before its certificate runs out
SOON = timedelta(days=45)
HOLDERS = {
    "software": N_("Tại máy chủ (phần mềm)"),
    "pkcs11": N_("Thiết bị/HSM tại máy chủ"),
    "csc": N_("Dịch vụ ký từ xa"),
    "agent": N_("Thiết bị USB của người ký"),
}
_ACTS = {"tam-khoa": "suspended", "mo-lai": "active", "thu-hoi": "revoked"}
_MOST = 200_000


@page("settings.manage")
async def keys_page(visit: Visit) -> Response:
    """Keys of the facility, those that run out first; requests that wait; the form for a key held elsewhere."""
    return await _keys_page(visit)


async def _keys_page(visit: Visit, **context: Any) -> Response:
    rows = [(key, _state(visit, key), issuer(key.certificate)) for key in await all_keys(visit.repo)]
    here = [row for row in rows if row[1] not in ("revoked", "retired")]
    return visit.draw(
        "signing_keys.html",
        **{
            **await rail.around(visit),
            "rows": here,
            "gone": [row for row in rows if row not in here],
            "soon": sum(state in ("soon", "expired") for _, state, _ in here),
            "requests": await open_requests(visit.repo),
            "holders": HOLDERS,
            "people": await _people(visit),
            **context,
        },
    )


def _state(visit: Visit, key: HeldKey) -> str:
    if key.status != "active":
        return key.status
    if key.expires_at <= visit.now:
        return "expired"
    return "soon" if key.expires_at <= visit.now + SOON else "active"


def issuer(certificate: x509.Certificate) -> str:
    """Name of who gave a certificate."""
    native = certificate.issuer.native
    return str(native.get("common_name") or native.get("organization_name") or "")


async def _people(visit: Visit) -> list[tuple[str, str]]:
    found = await visit.repo.search("Practitioner", [("_count", "200"), ("_sort", "name")])
    return [(f"Practitioner/{s.id}", show.name_of(s.data)) for s in found.entries]


@page("settings.manage")
async def add(visit: Visit) -> Response:
    """Enrol a key that is held elsewhere."""
    return await attempt(visit, _add(visit), _keys_page)


async def _add(visit: Visit) -> Response:
    owner = visit.text("owner")
    if not owner.startswith("Practitioner/"):
        text = "Chọn người ký."
        raise InvalidInput("web.choose-staff", text, issues=[Issue("web.choose-staff", text, "owner")])
    person = await visit.repo.read("Practitioner", owner.split("/")[1])
    licence = show.identifiers(person.data).get(systems.CCHN, "")
    certificate, chain = await _file(visit, "certificate"), await _file(visit, "chain")
    holder = next((k for k in KINDS if k == visit.text("holder") and k != "software"), None)
    if holder is None:
        raise InvalidInput("signing.bad-place", "Chọn nơi giữ khóa.", expression="holder")
    name, place = show.name_of(person.data), squeeze(visit.text("place"))
    new = NewKey(owner, name, licence, holder, place, certificate, chain)
    await add_key(visit.repo, new)
    return visit.go(ADDRESS, "da-luu")


async def _file(visit: Visit, name: str) -> bytes:
    """An uploaded file, or the text typed into the field beside it."""
    given = visit.form.get(name)
    if isinstance(given, UploadFile):
        data = await given.read(_MOST + 1)
        if len(data) > _MOST:
            raise InvalidInput("web.file-too-large", "Tệp lớn quá 200 kB.", expression=name)
        if data:
            return data
    return visit.text(f"{name}_text").encode()


@page("settings.manage")
async def change(visit: Visit) -> Response:
    """Suspend, reactivate or revoke a key, with a reason."""
    return await attempt(visit, _change(visit), _keys_page)


async def _change(visit: Visit) -> Response:
    status, reason = _ACTS.get(visit.text("viec")), visit.text("reason")
    if status is None:
        raise InvalidInput("web.no-such-act", "Không có bước này.")
    if not reason:
        raise RuleViolation("web.no-reason", "Ghi lý do.", expression="reason")
    await KeyStore(visit.repo).set_status(visit.text("owner"), status, reason)
    return visit.go(ADDRESS, "da-luu")


@page("settings.manage")
async def csr(visit: Visit) -> Response:
    """The request (PKCS #10) as a file for the authority."""
    wanted = _request_of(visit)
    found = next((r for r in await open_requests(visit.repo) if r.id == wanted), None)
    if found is None:
        raise NotFound("signing.no-request", "Không có yêu cầu này, hoặc yêu cầu đã xong.")
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.csr"'}
    return Response(found.csr, media_type="application/pkcs10", headers=headers)


@page("settings.manage")
async def answer(visit: Visit) -> Response:
    """Bring the certificate of a request, or drop the request."""
    return await attempt(visit, _answer(visit), _keys_page)


async def _answer(visit: Visit) -> Response:
    if visit.text("viec") == "bo":
        await drop_request(visit.repo, _request_of(visit))
    else:
        certificate, chain = await _file(visit, "certificate"), await _file(visit, "chain")
        await enrol_request(visit.repo, _request_of(visit), certificate, chain)
    return visit.go(ADDRESS, "da-luu")


def _request_of(visit: Visit) -> UUID:
    try:
        return UUID(visit.path("request"))
    except ValueError:
        raise NotFound("signing.no-request", "Không có yêu cầu này, hoặc yêu cầu đã xong.") from None


@page("form.sign")
async def my_key(visit: Visit) -> Response:
    """One's own key: where it is, until when; asking for one."""
    return await _my_key(visit)


async def _my_key(visit: Visit, **context: Any) -> Response:
    me = _me(visit.signed_in)
    keys = [(k, _state(visit, k), issuer(k.certificate)) for k in await all_keys(visit.repo) if k.owner == me]
    asked = next((r for r in await open_requests(visit.repo) if r.owner == me), None)
    around = await rail.around(visit)
    return visit.draw(
        "my_key.html", **{**around, "keys": keys, "asked": asked, "holders": HOLDERS, **context}
    )


def _me(who: SignedIn) -> str:
    return who.ctx.actor.reference


@page("form.sign")
async def ask(visit: Visit) -> Response:
    """Make a key under one's own PIN and ask for its certificate."""
    return await attempt(visit, _ask(visit), _my_key)


async def _ask(visit: Visit) -> Response:
    pin, again = str(visit.form.get("pin", "")), str(visit.form.get("pin_again", ""))
    if pin != again:
        raise InvalidInput("web.pins-differ", "Hai lần ghi PIN khác nhau.", expression="pin_again")
    staff = await visit.staff()
    await request_key(visit.repo, staff.reference, staff.name, staff.licence or "", pin)
    return visit.go(MINE, "da-luu")


ROUTES = [
    Route(ADDRESS, keys_page, methods=["GET"]),
    Route(ADDRESS, add, methods=["POST"]),
    Route("/khoa-ky/trang-thai", change, methods=["POST"]),
    Route(MINE, my_key, methods=["GET"]),
    Route(MINE, ask, methods=["POST"]),
    Route("/khoa-ky/yeu-cau/{request}", answer, methods=["POST"]),
    Route("/khoa-ky/yeu-cau/{request}/csr", csr, methods=["GET"]),
]
