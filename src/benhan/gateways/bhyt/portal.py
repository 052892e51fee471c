"""Client of the BHYT portal: token, card look-up, check-in, packages.

The portal wants the MD5 of the password (hex, capitals) in place of the password: it is as secret as the password and,
like tokens and bodies, never logged. An answer other than 200 to a package means "not received". When an answer is lost
the portal is asked for the record first; only when it does not know it is the same package sent again.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from benhan.base import json_door
from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import (
    BenhanError,
    ConfigurationError,
    InvalidInput,
    NeighbourFailed,
    NeighbourTimeout,
)
from benhan.base.settings import Settings
from benhan.gateways.bhyt.tables import codes

_MARGIN = timedelta(minutes=2)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
#: codes of the look-up under which the card may be used
GOOD_CARD = frozenset({"000", "001", "002", "004"})


@dataclass(frozen=True, slots=True)
class Account:
    """How a facility signs in at the portal. ``password`` is kept out of ``repr``."""

    username: str
    password_md5: str

    def __repr__(self) -> str:
        return f"Account({self.username!r})"

    @classmethod
    def of(cls, username: str, password: str) -> Account:
        """From the password in clear."""
        digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest().upper()
        return cls(username, digest)


@dataclass(frozen=True, slots=True)
class CardAnswer:
    """Answer of a look-up. ``code`` of list API.KET_QUA_TRA_THE, or ``unverified`` when the portal is away."""

    code: str
    text: str
    good: bool
    card: str
    valid_from: str = ""
    valid_to: str = ""
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Answer to a package: ``code`` 200 is received (not yet accepted); ``text`` is the portal's own."""

    code: str
    transaction: str
    received_at: str
    text: str

    @property
    def received(self) -> bool:
        """True when the portal has the package."""
        return self.code == "200"


@dataclass(frozen=True, slots=True)
class _Token:
    access: str
    identity: str
    expires: datetime


class PortalClient:
    """One facility at the portal; use as an async context manager."""

    def __init__(
        self,
        url: str,
        account: Account,
        facility: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        timeout_s: float = 20.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url.rstrip("/"), timeout=timeout_s, transport=transport)
        self._account = account
        self._facility = facility
        self._clock = clock
        self._token: _Token | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> PortalClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def check_card(
        self, card: str, name: str, birth: str, *, staff_name: str = "", staff_cccd: str = ""
    ) -> CardAnswer:
        """Look a card up. ``birth``: dd/mm/yyyy or the year."""
        body = {
            "maThe": card, "hoTen": name, "ngaySinh": birth, "hoTenCb": staff_name, "cccdCb": staff_cccd,
        }  # fmt: skip
        answer = await self._query("/api/egw/KQNhanLichSuKCB2024", {}, body)
        code = str(answer.get("maKetQua", ""))
        listed = codes("API.KET_QUA_TRA_THE").get(code)
        text = str(answer.get("ghiChu") or (listed.title if listed else ""))
        dates = str(answer.get("gtTheTu") or ""), str(answer.get("gtTheDen") or "")
        return CardAnswer(code, text, code in GOOD_CARD, str(answer.get("maThe") or card), *dates, answer)

    async def send(self, raw: bytes, ma_lk: str, *, checkin: bool = False) -> Receipt:
        """Send one package. The portal knows a record again by its MA_LK, so sending twice makes no second record.

        Raises: ``NeighbourTimeout`` bhyt.portal-away; ``NeighbourFailed`` bhyt.portal-failed.
        """
        try:
            return await self._send(raw, checkin)
        except NeighbourTimeout as error:
            if checkin or error.code == "bhyt.portal-away":
                raise
        known = await self.ask(ma_lk, raw)
        return known if known is not None else await self._send(raw, checkin)

    async def ask(self, ma_lk: str, raw: bytes) -> Receipt | None:
        """Whether the portal has exactly this package; None when it has not, or does not tell."""
        try:
            answer = await self._query("/api/egw/nhanHoSoKCBChiTiet", {"maHoSo": ma_lk}, {})
        except BenhanError:
            return None
        kept = answer.get("hoSo")
        same = (
            isinstance(kept, dict) and kept.get("sha256") == hashlib.sha256(base64.b64encode(raw)).hexdigest()
        )
        return _receipt(kept) if same and isinstance(kept, dict) else None

    async def _send(self, raw: bytes, checkin: bool) -> Receipt:
        path = "/api/qd130/checkInKcbQd3176" if checkin else "/api/qd130/guiHoSoXmlQD3176"
        form = {
            "username": self._account.username,
            "loaiHoSo": "0" if checkin else "130",
            "maTinh": self._facility[:2],
            "maCSKCB": self._facility,
            "fileHSBase64": base64.b64encode(raw).decode(),
        }
        for fresh in (False, True):
            token = await self._take(fresh=fresh)
            headers = {
                "accessToken": token.access,
                "tokenId": token.identity,
                "passwordHash": self._account.password_md5,
            }
            answer = await self._post(path, data=form, headers=headers)
            if str(answer.get("maKetQua")) != "401":
                break
        return _receipt(answer)

    async def _query(self, path: str, more: dict[str, str], body: dict[str, str]) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for fresh in (False, True):
            token = await self._take(fresh=fresh)
            params = {
                "token": token.access,
                "id_token": token.identity,
                "username": self._account.username,
                "password": self._account.password_md5,
                **more,
            }
            answer = await self._post(path, params=params, json=body)
            if str(answer.get("maKetQua")) != "401":
                break
        return answer

    async def _take(self, *, fresh: bool) -> _Token:
        """The token, taken anew when it nears its end or was refused; one caller takes at a time."""
        before = self._token
        async with self._one_at_a_time:
            token = self._token
            renewed = token is not before
            if token and (not fresh or renewed) and self._clock.now() < token.expires - _MARGIN:
                return token
            form = {"username": self._account.username, "password": self._account.password_md5}
            answer = await self._post("/api/token/take", data=form)
            key = answer.get("APIKey")
            if str(answer.get("maKetQua")) != "200" or not isinstance(key, dict):
                raise NeighbourFailed(
                    "bhyt.portal-login",
                    "Cổng BHYT không chấp nhận tài khoản của cơ sở.",
                    diagnostics=f"maKetQua {answer.get('maKetQua')}",
                )
            expires = datetime.fromisoformat(str(key["expires_in"]).replace("Z", "+00:00"))
            self._token = _Token(str(key["access_token"]), str(key["id_token"]), expires)
            return self._token

    async def _post(self, path: str, **request: Any) -> dict[str, Any]:
        try:
            response = await self._http.post(path, **request)
        except _UNSENT as error:
            raise NeighbourTimeout(
                "bhyt.portal-away", "Không kết nối được Cổng BHYT.", diagnostics=type(error).__name__
            ) from None
        except httpx.HTTPError as error:
            raise NeighbourTimeout(
                "bhyt.answer-lost", "Mất câu trả lời của Cổng BHYT.", diagnostics=type(error).__name__
            ) from None
        if response.status_code >= 500:
            raise NeighbourFailed(
                "bhyt.portal-failed", "Cổng BHYT báo lỗi máy chủ.", diagnostics=f"HTTP {response.status_code}"
            )
        try:
            answer = json_door.loads(response.content)
        except BenhanError as error:
            raise NeighbourFailed(
                "bhyt.portal-answer", "Cổng BHYT trả lời không đúng định dạng.", diagnostics=error.code
            ) from error
        if not isinstance(answer, dict):
            raise NeighbourFailed("bhyt.portal-answer", "Cổng BHYT trả lời không đúng định dạng.")
        return answer


def _receipt(answer: Mapping[str, Any]) -> Receipt:
    names = ("maKetQua", "maGiaoDich", "thoiGianTiepNhan", "thongDiep")
    return Receipt(*(str(answer.get(n) or "") for n in names))


def portal_of(
    settings: Settings, facility: str, *, clock: Clock = SYSTEM_CLOCK, timeout_s: float = 20.0
) -> PortalClient | None:
    """The client of this installation; None when no portal is set.

    The password lies in ``home/secrets/bhyt-password``; a practice installation may do without.
    Raises: ``ConfigurationError`` bhyt.no-password.
    """
    if not settings.bhyt_url:
        return None
    path = Path(settings.home) / "secrets" / "bhyt-password"
    if path.exists():
        password = path.read_text(encoding="utf-8").strip()
    elif settings.practice:
        password = settings.bhyt_username or facility
    else:
        raise ConfigurationError("bhyt.no-password", "Thiếu mật khẩu Cổng BHYT: secrets/bhyt-password.")
    account = Account.of(settings.bhyt_username or facility, password)
    return PortalClient(settings.bhyt_url, account, facility, clock=clock, timeout_s=timeout_s)


async def check_card(
    settings: Settings, facility: str, card: str, name: str, birth: date | str, *, timeout_s: float = 20.0
) -> CardAnswer:
    """Look a card up for the reception; an absent portal is no error but the answer ``unverified``.

    Raises: ``InvalidInput`` bhyt.no-card.
    """
    if not card.strip():
        raise InvalidInput("bhyt.no-card", "Chưa nhập số thẻ BHYT.", expression="card")
    born = birth if isinstance(birth, str) else birth.strftime("%d/%m/%Y")
    client = portal_of(settings, facility, timeout_s=timeout_s)
    if client is None:
        return CardAnswer("unverified", "Chưa kiểm được thẻ: chưa cấu hình Cổng BHYT.", False, card)
    async with client:
        try:
            return await client.check_card(card.strip().upper(), name, born)
        except NeighbourFailed as error:
            return CardAnswer("unverified", f"Chưa kiểm được thẻ: {error.text}", False, card)
