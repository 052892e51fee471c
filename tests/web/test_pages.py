"""What every page promises: words translated, nothing inline, headers, tokens, rights, languages, errors in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from jinja2 import Environment, nodes
from starlette.routing import Mount, Route

import benhan.web
from benhan.access import COOKIE
from benhan.base.errors import ConfigurationError
from benhan.web import assets, frame, i18n, serve, show

ROOM = Path(benhan.web.__file__).parent
TEMPLATES = sorted((ROOM / "templates").glob("*.html"))
VIETNAMESE = re.compile(r"[À-ỹĂăĐđƠơƯư]")
CSS_LINES = 1000


def literal_text(path: Path) -> list[str]:
    """Text of a template that stands outside every expression."""
    tree = Environment(extensions=["jinja2.ext.do"]).parse(path.read_text(encoding="utf-8"))
    return [node.data for out in tree.find_all(nodes.TemplateData) for node in [out]]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_template_has_no_untranslated_words(path: Path) -> None:
    """Vietnamese words stand only inside ``_()``."""
    found = [text.strip() for text in literal_text(path) if VIETNAMESE.search(re.sub(r"<[^>]*>", "", text))]
    assert found == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_template_has_nothing_inline(path: Path) -> None:
    """No inline script, style or event handler: the CSP would refuse them."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style\b|\sstyle\s*=|javascript:", text)
    assert not re.search(r"\son[a-z]+\s*=", text)
    assert not re.search(r"\shx-(on|vals=['\"]js:)", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_every_form_that_writes_carries_the_token(path: Path) -> None:
    """A form with method post holds the CSRF field."""
    for form in re.findall(r"(?s)<form[^>]*method=\"post\".*?</form>", path.read_text(encoding="utf-8")):
        assert "csrf_field" in form or "csrf_input" in form, form[:120]


def sentences() -> set[str]:
    """Every sentence marked for the catalogue in code and templates."""
    methods = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
    keywords = {"_": None, "N_": None}
    found = extract_from_dir(str(ROOM), methods, keywords=keywords)
    return {str(message) for _, _, message, _, _ in found}


def test_every_sentence_is_in_english_too() -> None:
    """The English catalogue has every sentence, and none that is no longer used."""
    known = i18n.messages("en")
    wanted = sentences()
    assert sorted(wanted - known.keys()) == []
    assert sorted(known.keys() - wanted) == []
    assert [
        k for k, v in known.items() if set(re.findall(r"\{\w+\}", k)) != set(re.findall(r"\{\w+\}", v))
    ] == []


def test_own_styles_stay_small() -> None:
    """Own CSS stays under a thousand lines."""
    assert sum(len(p.read_text().splitlines()) for p in (ROOM / "static" / "css").glob("*.css")) < CSS_LINES


def test_vendored_files_are_those_of_the_manifest() -> None:
    """What is checked in is what the manifest pins, with a licence for each package."""
    import hashlib
    import json

    manifest = json.loads((ROOM.parents[2] / "scripts" / "vendor_assets.json").read_text(encoding="utf-8"))
    vendor = ROOM / "static" / "vendor"
    wanted = {target: digest for p in manifest["packages"] for target, digest in p["sha256"].items()}
    present = {
        p.relative_to(vendor).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in vendor.rglob("*")
        if p.is_file()
    }
    assert present == wanted
    assert all(any(t.endswith("LICENSE") for t in p["files"].values()) for p in manifest["packages"])


def test_pages_keep_to_their_budget() -> None:
    """Scripts and page stay within the budget as they travel (compressed)."""

    def travels(*names: str) -> int:
        return sum(len(assets.assets()[n].packed or assets.assets()[n].data) for n in names)

    base = ("vendor/htmx/htmx.min.js", "vendor/idiomorph/idiomorph-ext.min.js", "js/page.js")
    writing = (*base, "js/autosave.js", "js/pick.js")
    plotting = (*base, "vendor/uplot/uPlot.iife.min.js", "js/plots.js")
    styles = (
        "vendor/bootstrap/bootstrap.min.css",
        "css/tokens.css",
        "css/app.css",
        "forms/forms.css",
        "icons.svg",
    )
    fonts = [n for n in assets.assets() if n.endswith(".woff2")]
    assert travels(*writing) < 120_000
    assert travels(*plotting) < 120_000
    assert sum(len(assets.assets()[n].data) for n in writing) < 120_000
    assert travels(*plotting, *styles, *fonts) < 300_000


async def test_sign_in_refuses_what_is_wrong(browser: Callable[[], Any]) -> None:
    """A wrong password, code or name looks the same, in Vietnamese, and gives no session."""
    one = browser()
    await one.see("/dang-nhap")
    text = await one.press("/dang-nhap", 401, co_so="51Z01", ten="bacsi", mat_khau="sai-roi-nhe", ma="000000")
    assert "không đúng" in text
    assert COOKIE not in one.cookies
    await one.see("/nguoi-benh")
    assert one.where() == "/dang-nhap"


async def test_session_ends_for_good(as_person: Any) -> None:
    """After signing out the cookie opens nothing."""
    desk = await as_person("tiepdon")
    token = desk.cookies[COOKIE]
    await desk.see("/tiep-don")
    await desk.press("/dang-xuat")
    desk.cookies.set(COOKIE, token, domain="testserver.local")
    await desk.see("/tiep-don")
    assert desk.where() == "/dang-nhap"


async def test_post_without_token_is_refused(as_person: Any) -> None:
    """A POST without the session's token, or from another site, changes nothing."""
    desk = await as_person("tiepdon")
    answer = await desk.post("/tiep-don/dang-ky", data={"name": "Kẻ Giả Mạo"})
    assert answer.status_code == 403
    await desk.see("/tiep-don")
    answer = await desk.post(
        "/tiep-don/dang-ky",
        data={"csrf": desk.csrf(), "name": "Kẻ Giả Mạo"},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 403
    answer = await desk.post("/dang-nhap", data={"csrf": "", "ten": "x"})
    assert answer.status_code == 403


async def test_answers_carry_security_headers(browser: Callable[[], Any]) -> None:
    """Strict CSP and its companions stand on pages, files and errors; pages are never cached."""
    one = browser()
    for address in ("/dang-nhap", "/khong-co-trang-nay", assets.static_url("css/app.css")):
        answer = await one.get(address)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-correlation-id"]
    assert (await one.get("/dang-nhap")).headers["cache-control"] == "no-store"
    assert "immutable" in (await one.get(assets.static_url("css/app.css"))).headers["cache-control"]


#: Page → role that may see it, role that may not.
RIGHTS = [
    ("/tiep-don", "tiepdon", "kythuat"),
    ("/nguoi-benh", "bacsi", "tiepdon"),
    ("/viec/ky", "bacsi", "tiepdon"),
    ("/viec/ket-qua", "bacsi", "tiepdon"),
    ("/viec/no-ho-so", "khth", "kythuat"),
    ("/so-y-te", "lanhdao", "bacsi"),
]


@pytest.mark.parametrize(("address", "allowed", "refused"), RIGHTS)
async def test_pages_ask_for_the_permission(as_person: Any, address: str, allowed: str, refused: str) -> None:
    """The same page opens for one role and is refused, with a sentence and a support number, for another."""
    await (await as_person(allowed)).see(address)
    text = await (await as_person(refused)).see(address, 403)
    assert "không có quyền" in text
    assert "Mã hỗ trợ" in text


def test_every_route_is_guarded(app: Any) -> None:
    """Every page is made by `page`: a session is needed, except for a few that say so."""
    free = set()
    for route in app.routes:
        if isinstance(route, Mount) or not isinstance(route, Route):
            continue
        endpoint: Any = route.endpoint
        if not hasattr(endpoint, "open_to_all") or endpoint.open_to_all:
            free.add(route.path)
    assert free == {
        "/static/{version}/{name:path}", "/health", "/dang-nhap", "/ngon-ngu", "/oauth/token",
        "/.well-known/smart-configuration", "/tra-cuu", "/tra-cuu/{code}",
        "/ky-tay/{token}", "/ky-tay/{token}/ban-in",
    }  # fmt: skip


async def test_pages_are_also_in_english(as_person: Any) -> None:
    """The language switch keeps the page and turns its words."""
    desk = await as_person("tiepdon")
    await desk.see("/tiep-don")
    text = await desk.press("/ngon-ngu", ngon_ngu="en", ve="/tiep-don")
    assert 'lang="en"' in text
    assert "Reception" in text
    assert "Tiếp đón" not in text


async def test_no_such_page_is_said_in_words(as_person: Any) -> None:
    """404 tells what to do; an unknown person looks the same as one that may not be seen."""
    doctor = await as_person("bacsi")
    for address in ("/khong-co", "/nguoi-benh/khong-co-nguoi-nay", "/giay/khong-co"):
        assert "Không tìm thấy" in await doctor.see(address, 404)


async def test_sign_in_leads_only_to_this_site(browser: Callable[[], Any]) -> None:
    """``tiep`` never leads to another host."""
    one = browser()
    for bad in ("https://xau.example/", "//xau.example", "/\\xau.example"):
        text = await one.see(f"/dang-nhap?tiep={bad}")
        assert 'name="tiep" value="/"' in text


def test_serving_beyond_this_machine_needs_tls(settings: Any) -> None:
    """Pages leave the machine only over HTTPS."""
    with pytest.raises(ConfigurationError) as refused:
        serve.check(settings.model_copy(update={"host": "0.0.0.0"}))
    assert refused.value.code == "web.needs-tls"
    assert "tls_cert" in refused.value.text


@pytest.mark.parametrize(
    ("born", "on", "words"),
    [
        ("2026-11-20", "2026-11-23", "3 ngày tuổi"),
        ("2026-03-23", "2026-11-22", "7 tháng tuổi"),
        ("2020-12-01", "2026-11-22", "71 tháng tuổi"),
        ("1990-11-23", "2026-11-22", "35 tuổi"),
        ("1950", "2026-11-22", "khoảng 76 tuổi"),
        ("", "2026-11-22", ""),
    ],
)
def test_age_is_told_in_its_own_unit(born: str, on: str, words: str) -> None:
    """Days, months or years, as the age asks."""
    from datetime import date

    assert show.age(born, date.fromisoformat(on), lambda text: text) == words


@pytest.mark.parametrize("typed", ["22/11/2026 14:05", "22112026 1405", "2026-11-22T14:05:00+07:00"])
def test_moments_are_read_as_people_write_them(typed: str) -> None:
    """Several ways of writing give the same instant."""
    assert show.read_moment(typed, "happened").isoformat() == "2026-11-22T14:05:00+07:00"


def test_done_words_are_closed(app: Any) -> None:
    """An address can only name a sentence that exists; anything else says nothing."""
    assert frame.DONE.get("<script>", "") == ""
