"""Coming in and going out: sign-in, first password, one-time code, language and look, the way home."""

from __future__ import annotations

from urllib.parse import urlsplit

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from benhan import access
from benhan.base.errors import BenhanError, InvalidInput, Issue
from benhan.web import rail
from benhan.web.frame import (
    LANGUAGE_COOKIE,
    PRE_COOKIE,
    THEME_COOKIE,
    Visit,
    cookie_secure,
    correlation_id,
    page,
    set_pre_cookie,
)
from benhan.web.i18n import LANGUAGES

YEAR_S = 31_536_000


def safe_way(address: str) -> str:
    """A path of this site, or the start page: never another host."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not address.startswith("/") or address.startswith(("//", "/\\")):
        return "/"
    return address


@page(open_to_all=True)
async def sign_in_page(visit: Visit) -> Response:
    """The sign-in form; somebody signed in goes home."""
    if visit.who is not None and not visit.who.pending:
        return RedirectResponse(safe_way(visit.request.query_params.get("tiep", "/")), 303)
    return await _gate(visit)


async def _gate(visit: Visit, status: int = 200, issues: tuple[Issue, ...] = ()) -> Response:
    facilities = [t for t in await visit.store.tenants() if t.kind == visit.settings.role]
    pre = visit.request.cookies.get(PRE_COOKIE, "")
    context = {
        "facilities": facilities,
        "tiep": safe_way(visit.request.query_params.get("tiep", "") or visit.text("tiep") or "/"),
        "ended": visit.request.query_params.get("het") == "1",
        "typed": visit.typed(),
    }
    response = visit.draw("signin.html", status=status, issues=issues, pre=pre, **context)
    token = set_pre_cookie(visit, response)
    if token != pre:
        response = visit.draw("signin.html", status=status, issues=issues, pre=token, **context)
        response.set_cookie(
            PRE_COOKIE, token, max_age=3600, httponly=True, samesite="strict", secure=cookie_secure(visit)
        )
    return response


@page(open_to_all=True)
async def sign_in(visit: Visit) -> Response:
    """Check name, password and code; on success a cookie and on to where the person was going."""
    try:
        token = await access.sign_in(
            visit.store,
            visit.text("co_so"),
            visit.text("ten"),
            str(visit.form.get("mat_khau", "")),
            visit.text("ma"),
            correlation_id=correlation_id(visit.request),
        )
    except BenhanError as refused:
        return await _gate(visit, refused.status, refused.issues)
    target = safe_way(visit.text("tiep") or "/")
    if token.pending:
        target = "/ma-xac-thuc" if token.pending == "totp" else "/doi-mat-khau"
    response = RedirectResponse(target, 303)
    response.set_cookie(
        access.COOKIE, token.token, httponly=True, samesite="lax", secure=cookie_secure(visit), path="/"
    )
    response.delete_cookie(PRE_COOKIE)
    return response


@page(pending=True)
async def sign_out(visit: Visit) -> Response:
    """End the session here and in the database."""
    await access.sign_out(visit.store, visit.token)
    response = RedirectResponse("/dang-nhap", 303)
    response.delete_cookie(access.COOKIE, path="/")
    return response


@page(pending=True)
async def totp_page(visit: Visit) -> Response:
    """Begin enrolment: a new seed as QR and text."""
    enrolment = await access.begin_totp(visit.repo, visit.signed_in.account.id)
    return visit.draw("totp.html", enrolment=enrolment, picture=Markup(enrolment.qr_svg))  # noqa: S704 - drawn by segno


@page(pending=True)
async def totp(visit: Visit) -> Response:
    """Confirm the seed by a first code."""
    try:
        await access.confirm_totp(visit.repo, visit.signed_in.account.id, visit.text("ma"))
    except BenhanError as refused:
        return visit.draw("totp.html", enrolment=None, status=refused.status, issues=refused.issues)
    return visit.go("/doi-mat-khau" if visit.signed_in.account.must_change else "/")


@page(pending=True)
async def password_page(visit: Visit) -> Response:
    """The form for a new password."""
    return visit.draw("password.html", **await rail.around(visit))


@page(pending=True)
async def password(visit: Visit) -> Response:
    """Change the password; the old one is asked again."""
    new, again = str(visit.form.get("moi", "")), str(visit.form.get("lai", ""))
    try:
        if new != again:
            text = "Hai lần ghi mật khẩu mới không giống nhau."
            raise InvalidInput(
                "web.password-differs", text, issues=[Issue("web.password-differs", text, "lai")]
            )
        await access.change_password(
            visit.repo, visit.signed_in.account.id, str(visit.form.get("cu", "")), new
        )
    except BenhanError as refused:
        frame = await rail.around(visit)
        return visit.draw("password.html", status=refused.status, issues=refused.issues, **frame)
    response = visit.go("/dang-nhap", "da-doi-mat-khau")  # every session of the account has ended
    response.delete_cookie(access.COOKIE, path="/")
    return response


@page()
async def account_page(visit: Visit) -> Response:
    """Who one is here: roles with khoa and dates, signing key, look of the pages."""
    from benhan.signing import KeyStore

    keys = await KeyStore(visit.repo).certificates_of(visit.signed_in.ctx.actor.reference)
    titles = {r.code: r.title for r in access.roles()}
    return visit.draw("account.html", keys=keys, role_titles=titles, **await rail.around(visit))


@page(open_to_all=True)
async def language(visit: Visit) -> Response:
    """Remember the chosen language."""
    response = RedirectResponse(safe_way(visit.text("ve") or "/"), 303)
    if visit.text("ngon_ngu") in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE,
            visit.text("ngon_ngu"),
            max_age=YEAR_S,
            samesite="lax",
            secure=cookie_secure(visit),
        )
    return response


@page()
async def look(visit: Visit) -> Response:
    """Remember light or dark, usual or large type."""
    response = RedirectResponse("/tai-khoan", 303)
    for field, cookie, allowed in (
        ("nen", THEME_COOKIE, ("light", "dark")),
        ("chu", "benhan_type", ("usual", "large")),
    ):
        if visit.text(field) in allowed:
            response.set_cookie(
                cookie, visit.text(field), max_age=YEAR_S, samesite="lax", secure=cookie_secure(visit)
            )
    return response


@page()
async def home(visit: Visit) -> Response:
    """Where this person's work begins: the first work list of the rail."""
    around = await rail.around(visit)
    first = next((item.address for item in around["rail"]), "/tai-khoan")
    return RedirectResponse(first, 303)


@page()
async def keys_page(visit: Visit) -> Response:
    """The keys of the keyboard."""
    return visit.draw("keys.html", **await rail.around(visit))


async def health(_: Request) -> Response:
    """200 while the process serves; says nothing else."""
    return Response("ok", media_type="text/plain")


ROUTES = [
    Route("/", home, methods=["GET"]),
    Route("/health", health, methods=["GET"]),
    Route("/dang-nhap", sign_in_page, methods=["GET"]),
    Route("/dang-nhap", sign_in, methods=["POST"]),
    Route("/dang-xuat", sign_out, methods=["POST"]),
    Route("/ma-xac-thuc", totp_page, methods=["GET"]),
    Route("/ma-xac-thuc", totp, methods=["POST"]),
    Route("/doi-mat-khau", password_page, methods=["GET"]),
    Route("/doi-mat-khau", password, methods=["POST"]),
    Route("/tai-khoan", account_page, methods=["GET"]),
    Route("/ngon-ngu", language, methods=["POST"]),
    Route("/giao-dien", look, methods=["POST"]),
    Route("/tro-giup", keys_page, methods=["GET"]),
]
