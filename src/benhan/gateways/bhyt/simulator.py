"""A portal that behaves as the BHYT portal is documented to: token, card look-up, check-in, receipt of packages.

Strict: every call but the token needs a living token; packages are decoded and go through the same checks as before
sending. Only codes of the reference are answered (000-401 for cards; 200, 401, 403, 205 for packages: the list of
codes for sending is not public, so every fault of a package is 205 with the places in ``thongDiep``).
What correct software never writes (nested XML, tags in another order or in lower case, tags of one's own, several HOSO,
base64 twice) is refused too, though intake would read it.
Faults are switched by ``POST /_admin/faults`` with counters: ``lose_answer`` (after acceptance), ``fail`` (HTTP 503),
``expire`` (token forgotten), ``wrong_token`` (a token that does not hold), ``slow`` (an answer after ``slow_ms``),
``refuse`` (205 that names two tags).
Without ``state_dir`` only the shipped, invented register of cards is known (``data/simulator_cards.csv``).
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import re
import secrets
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from benhan.base.clock import SYSTEM_CLOCK, Clock, local, local_date
from benhan.base.errors import BenhanError
from benhan.base.text import fold
from benhan.gateways.bhyt.check import check, errors
from benhan.gateways.bhyt.package import Package, read_package
from benhan.gateways.bhyt.tables import codes

_MD5 = re.compile(r"[0-9A-Fa-f]{32}")
_CARD = re.compile(r"[A-Z]{2}\d{13}")
_LIFE = timedelta(minutes=30)
_CARDS_FILE = "cards.json"
_ODD = frozenset({"nested", "base64-twice", "order", "case", "extra", "several"})


def register_card(
    state_dir: Path,
    card: str,
    *,
    name: str = "",
    birth: str = "",
    valid_from: date | None = None,
    valid_to: date | None = None,
    code: str = "000",
    **more: str,
) -> None:
    """Make the simulator know a card (15 characters), valid for this year unless told otherwise.

    ``birth``: dd/mm/yyyy; ``code``: answer of the look-up (list API.KET_QUA_TRA_THE); ``more``: further fields of the answer
    (maDKBD, maKV, ngayDu5Nam, maTheMoi …). A running simulator rereads it.
    """
    if not _CARD.fullmatch(card):
        raise ValueError("a card has two capitals and thirteen digits")
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / _CARDS_FILE
    known = _read(path)
    year = local_date(SYSTEM_CLOCK.now()).year
    known[card] = {
        "hoTen": name,
        "ngaySinh": birth,
        "gtTheTu": (valid_from or date(year, 1, 1)).strftime("%d/%m/%Y"),
        "gtTheDen": (valid_to or date(year, 12, 31)).strftime("%d/%m/%Y"),
        "maKetQua": code,
        **more,
    }
    _write(path, known)


@cache
def shipped_cards() -> dict[str, dict[str, str]]:
    """The invented register: card to the fields of an answer."""
    text = files("benhan.gateways.bhyt").joinpath("data/simulator_cards.csv").read_text(encoding="utf-8")
    return {row["maThe"]: row for row in csv.DictReader(text.splitlines())}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    draft.replace(path)


class _Lost(Response):
    """The answer is lost on the way: headers promise a body, then the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"64"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


class Portal:
    """State and answers of the simulated portal."""

    def __init__(self, state_dir: Path | None, clock: Clock) -> None:
        self.folder = state_dir
        self.clock = clock
        self.tokens: dict[str, tuple[str, Any]] = {}
        self.faults: dict[str, int] = {}
        self.received: dict[str, dict[str, Any]] = {}
        self.deliveries = 0
        if state_dir is not None:
            state_dir.mkdir(parents=True, exist_ok=True)
            self.received = _read(state_dir / "received.json")

    def _fault(self, name: str) -> bool:
        left = self.faults.get(name, 0)
        if left > 0:
            self.faults[name] = left - 1
        return left > 0

    async def take(self, request: Request) -> Response:
        """``POST /api/token/take``: username and MD5 of the password, form-encoded."""
        form = await request.form()
        username, password = str(form.get("username", "")), str(form.get("password", ""))
        if not username or not _MD5.fullmatch(password):
            return _answer("401")
        token = secrets.token_urlsafe(24)
        expires = self.clock.now() + _LIFE
        if not self._fault("wrong_token"):
            self.tokens[token] = (username, expires)
        return JSONResponse(
            {
                "maKetQua": "200",
                "APIKey": {
                    "access_token": token,
                    "id_token": hashlib.sha256(token.encode()).hexdigest(),
                    "token_type": "bearer",
                    "username": username,
                    "expires_in": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
            }
        )

    def _known(self, token: str, id_token: str, username: str, password: str) -> bool:
        if self._fault("expire"):
            self.tokens.pop(token, None)
        owner, expires = self.tokens.get(token, ("", None))
        fits = hashlib.sha256(token.encode()).hexdigest() == id_token
        living = expires is not None and self.clock.now() < expires
        return bool(owner) and fits and living and owner == username and bool(_MD5.fullmatch(password))

    async def card(self, request: Request) -> Response:
        """``POST /api/egw/KQNhanLichSuKCB2024``: is the card good today."""
        query = request.query_params
        if not self._known(*(query.get(n, "") for n in ("token", "id_token", "username", "password"))):
            return _card_answer("401", {})
        if self._fault("fail"):
            return _card_answer("101", {})
        try:
            body = json.loads(await request.body())
        except ValueError:
            return _card_answer("205", {})
        if not isinstance(body, dict) or not body.get("maThe") or not body.get("hoTen"):
            return _card_answer("205", {})
        card = self._whole(str(body["maThe"]))
        known = self._cards().get(card)
        code = self._judge(card, known, body)
        told = {"maThe": card, "maSoBHXH": card[5:], **(known or {})} if known else {"maThe": card}
        return _card_answer(code, told, self._visits(card) if code in ("000", "001", "002", "004") else [])

    def _whole(self, number: str) -> str:
        """The card of 15 characters behind a social insurance number of 10."""
        if not re.fullmatch(r"\d{10}", number):
            return number
        return next((card for card in self._cards() if card.endswith(number)), number)

    def _visits(self, card: str) -> list[dict[str, str]]:
        """Treatments under a card: claims received here."""
        told = (kept.get("visit", {}) for kept in self.received.values())
        return [
            {k: v for k, v in visit.items() if k != "maThe"} for visit in told if visit.get("maThe") == card
        ]

    def _cards(self) -> dict[str, dict[str, str]]:
        own = _read(self.folder / _CARDS_FILE) if self.folder else {}
        return {**shipped_cards(), **own}

    def _judge(self, card: str, known: dict[str, str] | None, body: dict[str, Any]) -> str:
        if known is None:
            well_formed = _CARD.fullmatch(card) or re.fullmatch(r"\d{10}|\d{12}", card)
            return "050" if well_formed else "051"
        if known["hoTen"] and fold(known["hoTen"]) != fold(str(body["hoTen"])):
            return "060"
        birth = str(body.get("ngaySinh", ""))
        if known["ngaySinh"] and birth and not known["ngaySinh"].endswith(birth):
            return "070"
        today = local_date(self.clock.now()).strftime("%Y%m%d")
        first, last = ("".join(reversed(known[k].split("/"))) for k in ("gtTheTu", "gtTheDen"))
        if known["maKetQua"] == "000" and not first <= today <= last:
            return "010"
        return known["maKetQua"]

    async def send(self, request: Request) -> Response:
        """Receipt of one package; the same MA_LK again replaces it and keeps its transaction number when unchanged."""
        form = await request.form()
        headers = request.headers
        username = str(form.get("username", ""))
        token, id_token = headers.get("accesstoken", ""), headers.get("tokenid", "")
        if not self._known(token, id_token, username, headers.get("passwordhash", "")):
            return _answer("401")
        if self._fault("fail"):
            return PlainTextResponse("", status_code=503)
        checkin = "checkIn" in request.url.path
        facility = str(form.get("maCSKCB", ""))
        if str(form.get("loaiHoSo", "")) != ("0" if checkin else "130"):
            return _answer("205", "loaiHoSo không đúng")
        if str(form.get("maTinh", "")) != facility[:2]:
            return _answer("205", "maTinh khác hai ký tự đầu của maCSKCB")
        answer = self._receive(str(form.get("fileHSBase64", "")), facility, checkin)
        if self._fault("slow"):
            await asyncio.sleep(self.faults.get("slow_ms", 3000) / 1000)
        return _Lost() if self._fault("lose_answer") else answer

    def _receive(self, encoded: str, facility: str, checkin: bool) -> Response:
        if encoded.lstrip().startswith("<"):
            return _answer("205", "fileHSBase64 không phải base64")
        try:
            package = read_package(encoded.encode())
        except BenhanError as error:
            return _answer("205", error.text)
        if self._fault("refuse"):
            return _answer("205", "XML1/dòng 1/MA_BENH_CHINH: từ chối thử; XML2/dòng 1/TT_THAU: từ chối thử")
        layers = sum(n.code == "base64-whole" for n in package.leniencies)
        odd = [f"{n.place}: {n.text}" for n in package.leniencies if n.code in _ODD]
        if odd or layers != 1:
            return _answer("205", "; ".join(odd) or "fileHSBase64 phải là một lớp base64")
        if ("XML0" in package.rows) != checkin:
            return _answer("205", "bảng không thuộc loại hồ sơ này")
        if package.facility != facility:
            return _answer("403", "Mã cơ sở của gói khác maCSKCB")
        strange = self._strangers(package)
        if strange:
            return _answer("205", "; ".join(strange))
        faults = errors(check(package))
        if faults:
            return _answer("205", "; ".join(f.sentence() for f in faults[:50]))
        self.deliveries += 1
        return JSONResponse(self._keep(package, checkin, encoded))

    def _strangers(self, package: Package) -> list[str]:
        """Places where the claim names another person than the register of this state folder knows under the card."""
        own = _read(self.folder / _CARDS_FILE) if self.folder else {}
        said = []
        for head in package.table("XML1"):
            card = own.get(head.get("MA_THE_BHYT").split(";")[-1], {})
            if card.get("hoTen") and fold(card["hoTen"]) != fold(head.get("HO_TEN")):
                said.append("XML1/dòng 1/HO_TEN: khác họ tên trên thẻ")
            born = "".join(reversed(str(card.get("ngaySinh", "")).split("/")))
            if born and not head.get("NGAY_SINH").startswith(born):
                said.append("XML1/dòng 1/NGAY_SINH: khác ngày sinh trên thẻ")
        return said

    def _keep(self, package: Package, checkin: bool, encoded: str) -> dict[str, Any]:
        digest = hashlib.sha256(encoded.encode()).hexdigest()
        key = f"{'checkin' if checkin else 'hoso'}:{package.ma_lk}"
        before = self.received.get(key)
        if before and before["sha256"] == digest:
            return dict(before["answer"])
        answer = {
            "maKetQua": "200",
            "maGiaoDich": secrets.token_hex(12).upper(),
            "thoiGianTiepNhan": local(self.clock.now()).strftime("%Y%m%d%H%M%S"),
            "thongDiep": codes("API.MA_KET_QUA_GUI")["200"].title,
        }
        self.received[key] = {"sha256": digest, "answer": answer}
        for head in package.table("XML1"):
            tags = {
                "maThe": "MA_THE_BHYT", "maHoSo": "MA_LK", "maCSKCB": "MA_CSKCB", "ngayVao": "NGAY_VAO", "ngayRa": "NGAY_RA",
                "tenBenh": "CHAN_DOAN_RV", "tinhTrang": "MA_LOAI_RV", "kqDieuTri": "KET_QUA_DTRI", "lyDoVV": "MA_DOITUONG_KCB",
            }  # fmt: skip
            self.received[key]["visit"] = {name: head.get(tag).split(";")[-1] for name, tag in tags.items()}
        if self.folder is not None:
            _write(self.folder / "received.json", self.received)
        return answer

    async def detail(self, request: Request) -> Response:
        """``POST /api/egw/nhanHoSoKCBChiTiet``: has this record (maHoSo = MA_LK) been received."""
        query = request.query_params
        if not self._known(*(query.get(n, "") for n in ("token", "id_token", "username", "password"))):
            return _answer("401")
        kept = self.received.get(f"hoso:{query.get('maHoSo', '')}")
        if kept is None:
            return JSONResponse({"maKetQua": "200", "thongDiep": "Không có hồ sơ", "hoSo": None})
        return JSONResponse({"maKetQua": "200", "hoSo": {**kept["answer"], "sha256": kept["sha256"]}})

    async def set_faults(self, request: Request) -> Response:
        """Switch faults by counters."""
        self.faults = {str(k): int(v) for k, v in (await request.json()).items()}
        return JSONResponse(self.faults)

    async def list_received(self, _request: Request) -> Response:
        """What has been received."""
        return JSONResponse({"records": self.received, "deliveries": self.deliveries})


def _answer(code: str, text: str = "") -> Response:
    listed = codes("API.MA_KET_QUA_GUI").get(code) or codes("API.KET_QUA_TRA_THE").get(code)
    title = listed.title if listed else ""
    return JSONResponse(
        {
            "maKetQua": code,
            "maGiaoDich": "",
            "thoiGianTiepNhan": "",
            "thongDiep": f"{title}: {text}" if text else title,
        }
    )


def _card_answer(code: str, known: dict[str, str], visits: list[dict[str, str]] | None = None) -> Response:
    body = {**known, "maKetQua": code, "ghiChu": codes("API.KET_QUA_TRA_THE")[code].title}
    return JSONResponse({**body, "dsLichSuKCB2018": visits or [], "dsLichSuKT2018": []})


def create_simulator(state_dir: Path | None = None, *, clock: Clock = SYSTEM_CLOCK) -> Starlette:
    """The simulated portal; with ``state_dir`` it knows cards and remembers what it has received."""
    portal = Portal(state_dir, clock)

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("ok")

    sending = ("checkInKcbQd4750", "checkInKcbQd3176", "guiHoSoXmlQD4750", "guiHoSoXmlQD3176")
    app = Starlette(
        routes=[
            Route("/healthz", healthy),
            Route("/api/token/take", portal.take, methods=["POST"]),
            Route("/api/egw/KQNhanLichSuKCB2024", portal.card, methods=["POST"]),
            Route("/api/egw/nhanHoSoKCBChiTiet", portal.detail, methods=["POST"]),
            *(Route(f"/api/qd130/{name}", portal.send, methods=["POST"]) for name in sending),
            Route("/_admin/faults", portal.set_faults, methods=["POST"]),
            Route("/_admin/received", portal.list_received),
        ]
    )
    app.state.portal = portal
    return app
