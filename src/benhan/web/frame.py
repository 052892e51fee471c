"""One visit to a page: who, in which language, with which rights; and how a page is drawn.

Handlers are ``async (visit) -> Response``; `page` turns them into endpoints that know the session, check the
CSRF token of every POST and ask for the permission they name. Rules live in the rooms below.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from benhan.access import COOKIE, CSRF_FIELD, CSRF_HEADER, SignedIn, may, require, session_ctx
from benhan.base.clock import local_date
from benhan.base.errors import (
    BenhanError,
    Conflict,
    InvalidInput,
    Issue,
    NotAllowed,
    NotAuthenticated,
    RuleViolation,
)
from benhan.base.settings import Settings
from benhan.catalogue import systems
from benhan.forms import shelf
from benhan.gateways.bhyt import use_icd_list
from benhan.records import Staff
from benhan.store import Looks, Repository, Store
from benhan.web import show
from benhan.web.drawing import environment
from benhan.web.i18n import LANGUAGES, Translate, translator
from benhan.web.words import DONE

LANGUAGE_COOKIE, THEME_COOKIE, PRE_COOKIE = "benhan_lang", "benhan_theme", "benhan_pre"
SAFE = frozenset({"GET", "HEAD"})
#: where a page may load from and talk to
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@dataclass(slots=True)
class Visit:
    """One request by one person (``who`` None: nobody has signed in)."""

    request: Request
    store: Store
    settings: Settings
    who: SignedIn | None
    language: str
    form: FormData = field(default_factory=FormData)
    facility: str = ""
    _staff: Staff | None = None

    @property
    def _(self) -> Translate:
        """Translate a Vietnamese sentence into the visitor's language."""
        return translator(self.language)

    @property
    def signed_in(self) -> SignedIn:
        """Who has signed in. Raises: ``NotAuthenticated`` (access.no-session)."""
        if self.who is None:
            raise NotAuthenticated("access.no-session", "Bạn chưa đăng nhập hoặc phiên đã hết.")
        return self.who

    @property
    def token(self) -> str:
        """Session token of the cookie."""
        return self.request.cookies.get(COOKIE, "")

    @property
    def repo(self) -> Repository:
        """The store under this person's policy."""
        who = self.signed_in
        return self.store.repo(who.ctx, who.policy)

    def gather(self) -> Looks:
        """From now on what this person looks at is gathered for the audit; who asks for this flushes it."""
        looks = Looks()
        if self.who is not None:
            self.who = replace(self.who, ctx=replace(self.who.ctx, looks=looks))
        return looks

    @property
    def now(self) -> datetime:
        """The instant of the store's clock."""
        return self.store.clock.now()

    @property
    def htmx(self) -> bool:
        """True when a script asks for a fragment."""
        return self.request.headers.get("hx-request") == "true" and "hx-boosted" not in self.request.headers

    def authorize(self, permission: str, khoa: str | None) -> None:
        """``authorize`` for the records room."""
        require(self.signed_in, permission, khoa=khoa)

    def require(self, permission: str, khoa: str | None = None) -> None:
        """Pass or raise ``NotAllowed``."""
        require(self.signed_in, permission, khoa=khoa)

    def may(self, permission: str, khoa: str | None = None) -> bool:
        """Whether the permission is had."""
        return self.who is not None and may(self.who, permission, khoa=khoa)

    async def staff(self) -> Staff:
        """This person as he stands under an entry, with licence number."""
        if self._staff is None:
            actor = self.signed_in.ctx.actor
            licence = None
            if actor.reference.startswith("Practitioner/"):
                found = await self.repo.read("Practitioner", actor.reference.split("/")[1])
                licence = show.identifiers(found.data).get(systems.CCHN)
            khoa = next(iter(self.signed_in.khoa), None)
            self._staff = Staff(actor.reference, actor.display, licence, khoa)
        return self._staff

    def path(self, name: str) -> str:
        """Value of a path parameter."""
        return str(self.request.path_params[name])

    def text(self, name: str) -> str:
        """Text of a posted field, trimmed."""
        value = self.form.get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def moment(self, name: str) -> datetime:
        """Instant in a posted field; the present minute means this very instant, so that acts keep their order."""
        at, now = show.read_moment(self.text(name), name), self.now
        return now if at.second == 0 and at <= now < at + timedelta(minutes=1) else at

    def typed(self) -> dict[str, str]:
        """All posted text fields, for showing them again."""
        return {k: v for k, v in self.form.items() if isinstance(v, str) and k not in (CSRF_FIELD, "pin")}

    def go(self, address: str, done: str = "") -> Response:
        """Redirect after a POST; ``done`` is a key of `DONE`."""
        anchor = ""
        if "#" in address:
            address, anchor = address.split("#", 1)
            anchor = f"#{anchor}"
        mark = ("&" if "?" in address else "?") + f"xong={done}" if done else ""
        return RedirectResponse(f"{address}{mark}{anchor}", status_code=303)

    def draw(
        self, template: str, *, status: int = 200, issues: Sequence[Issue] = (), **context: Any
    ) -> HTMLResponse:
        """A page (or, when a script asks, the block ``main`` of it) as a response."""
        context = {
            "visit": self,
            "request": self.request,
            "settings": self.settings,
            "who": self.who,
            "may": self.may,
            "csrf": self.who.csrf if self.who else "",
            "issues": list(issues),
            "fault": {i.expression: i.text for i in issues if i.expression},
            "typed": {},
            "today": local_date(self.now),
            "now_text": show.moment(self.now),
            "rail": [],
            "correlation_id": correlation_id(self.request),
            "done": DONE.get(self.request.query_params.get("xong", ""), ""),
            **context,
        }
        html = environment(self.language).get_template(template).render(context)
        return HTMLResponse(html, status_code=status)


def correlation_id(request: Request) -> str:
    """Identifier of this request, for support."""
    return str(request.scope.get("state", {}).get("correlation_id", ""))


class Show(Protocol):
    """Draws a form again: with what was typed and what is wrong."""

    async def __call__(self, visit: Visit, **context: Any) -> Response:
        """Draw."""
        ...


async def attempt(visit: Visit, act: Awaitable[Response], show: Show) -> Response:
    """Do an act; what a person can mend in the form is shown in the form, everything else becomes an error page."""
    try:
        return await act
    except BenhanError as refused:
        mendable = isinstance(refused, InvalidInput | RuleViolation | Conflict)
        if not mendable and not any(i.expression for i in refused.issues):
            raise
        return await show(visit, status=refused.status, issues=refused.issues, typed=visit.typed())


Handler = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def page(
    permission: str | None = None, *, open_to_all: bool = False, pending: bool = False
) -> Callable[[Handler], Endpoint]:
    """Endpoint of a handler: session, CSRF, permission "anywhere" (acts name their khoa themselves).

    ``open_to_all``: nobody need be signed in. ``pending``: also for a session that must first change a password
    or enrol a code.
    """

    def wrap(handler: Handler) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            visit = await visit_of(request)
            if not open_to_all:
                who = visit.signed_in
                if who.pending and not pending:
                    return RedirectResponse("/ma-xac-thuc" if who.pending == "totp" else "/doi-mat-khau", 303)
            if request.method not in SAFE:
                visit.form = await read_form(request)
                check_csrf(visit)
            if permission is not None:
                visit.require(permission)
            looks = visit.gather()
            try:
                return await handler(visit)
            finally:  # what was looked at is in the audit before the answer, or the refusal, leaves
                await looks.flush(visit.store.audit)

        endpoint.__name__ = handler.__name__
        endpoint.permission = permission  # type: ignore[attr-defined]
        endpoint.open_to_all = open_to_all  # type: ignore[attr-defined]
        return endpoint

    return wrap


async def visit_of(request: Request) -> Visit:
    """The visit of a request; ``who`` None when the session is absent or over."""
    store: Store = request.app.state.store
    settings: Settings = request.app.state.settings
    who: SignedIn | None = None
    facility = ""
    token = request.cookies.get(COOKIE)
    if token:
        try:
            who = await session_ctx(store, token, correlation_id=correlation_id(request))
            facility = await facility_name(store, who)
            await shelf.refresh(store.repo(who.ctx, who.policy))
            use_icd_list(settings.home / "bhyt")
        except NotAuthenticated:
            who = None
    return Visit(request, store, settings, who, language_of(request, settings), facility=facility)


async def facility_name(store: Store, who: SignedIn) -> str:
    """Name of the tenant the person works in."""
    return next((t.name for t in await store.tenants() if t.id == who.ctx.tenant), "")


def language_of(request: Request, settings: Settings) -> str:
    """Language of the cookie, else of the settings."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    return chosen if chosen in LANGUAGES else settings.language


async def read_form(request: Request) -> FormData:
    """Posted fields; JSON bodies are read by their handler."""
    kind = request.headers.get("content-type", "")
    if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        return await request.form(max_fields=3000, max_files=100)
    return FormData()


def check_csrf(visit: Visit) -> None:
    """Refuse a POST that does not carry this session's token (before sign-in: the token of the pre-cookie).

    Raises: ``NotAllowed`` (web.csrf).
    """
    given = visit.request.headers.get(CSRF_HEADER) or visit.text(CSRF_FIELD)
    expected = visit.who.csrf if visit.who else visit.request.cookies.get(PRE_COOKIE, "")
    site = visit.request.headers.get("sec-fetch-site", "same-origin")
    if (
        not expected
        or site not in ("same-origin", "none")
        or not hmac.compare_digest(given.encode(), expected.encode())
    ):
        raise NotAllowed(
            "web.csrf", "Trang đã cũ hoặc yêu cầu không đến từ trang này. Tải lại trang rồi làm lại."
        )


def cookie_secure(visit: Visit) -> bool:
    """Cookies are Secure wherever pages are not plain HTTP on this machine itself."""
    return visit.request.url.scheme == "https" or not visit.settings.local_only


def set_pre_cookie(visit: Visit, response: Response) -> str:
    """The token that guards the sign-in form; kept in a cookie of its own."""
    value = visit.request.cookies.get(PRE_COOKIE) or secrets.token_urlsafe(24)
    response.set_cookie(
        PRE_COOKIE, value, max_age=3600, httponly=True, samesite="strict", secure=cookie_secure(visit)
    )
    return value
