"""Errors as pages: what happened, what to do, and the number to tell support. In Vietnamese, nothing technical."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from benhan.base.errors import BenhanError, Conflict, Issue, NotAuthenticated, NotFound
from benhan.web import rail
from benhan.web.frame import Visit, correlation_id, visit_of
from benhan.web.i18n import N_

log = logging.getLogger("benhan.web")

#: Status → title and what to do now.
WORDS = {
    400: (N_("Yêu cầu không đọc được"), N_("Quay lại trang trước, tải lại rồi thử lần nữa.")),
    401: (N_("Phiên đã hết"), N_("Đăng nhập lại; chữ đã ghi vẫn được giữ.")),
    403: (
        N_("Không có quyền"),
        N_("Việc này thuộc vai trò khác. Nếu cần làm, báo trưởng khoa hoặc bộ phận CNTT."),
    ),
    404: (N_("Không tìm thấy"), N_("Địa chỉ sai, mục này không còn, hoặc không thuộc quyền xem của bạn.")),
    405: (N_("Không tìm thấy"), N_("Địa chỉ này không mở được theo cách đó.")),
    409: (
        N_("Chưa làm được lúc này"),
        N_("Hồ sơ đang ở trạng thái không cho phép việc này. Tải lại trang để xem trạng thái mới."),
    ),
    410: (N_("Đã xóa"), N_("Mục này đã bị xóa; lịch sử vẫn được giữ.")),
    412: (N_("Có bản mới hơn"), N_("Người khác vừa ghi một bản mới. Tải lại trang để xem rồi ghi tiếp.")),
    413: (N_("Quá lớn"), N_("Tệp hoặc nội dung vượt mức cho phép.")),
    422: (N_("Chưa đúng quy định"), N_("Sửa những chỗ nêu dưới đây.")),
    429: (N_("Quá nhiều lần"), N_("Đợi một lát rồi thử lại.")),
    502: (N_("Hệ thống khác chưa trả lời"), N_("Việc ở đây vẫn tiếp tục được; thử lại phần này sau.")),
    504: (N_("Hệ thống khác chưa trả lời"), N_("Việc ở đây vẫn tiếp tục được; thử lại phần này sau.")),
    500: (
        N_("Có lỗi trong chương trình"),
        N_("Chữ đã lưu không mất. Thử lại; nếu vẫn lỗi, báo bộ phận CNTT kèm mã bên dưới."),
    ),
}


async def on_benhan_error(request: Request, error: Exception) -> Response:
    """A page for an error of the tree; an ended session leads to sign-in and back."""
    assert isinstance(error, BenhanError)
    if request.headers.get("accept", "").startswith("application/json"):
        return JSONResponse({"code": error.code, "text": error.text}, status_code=error.status)
    if isinstance(error, NotAuthenticated):
        back = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/dang-nhap?tiep={quote(back)}" + ("&het=1" if request.cookies else ""), 303)
    if error.status >= 500 and not error.code.startswith(("exchange.", "bhyt.")):
        log.error("%s %s", correlation_id(request), error.code)
    issues = () if isinstance(error, NotFound) else error.issues
    return await error_page(request, error.status, error.text, issues if len(issues) > 1 else (), error.code)


async def on_http_error(request: Request, error: Exception) -> Response:
    """A page for what the router refuses."""
    assert isinstance(error, HTTPException)
    return await error_page(request, error.status_code, "", (), f"web.http-{error.status_code}")


async def on_fault(request: Request, error: Exception) -> Response:
    """A page for a fault of the program; the log has it, the page has only the number."""
    log.error("%s fault", correlation_id(request), exc_info=error)
    return await error_page(request, 500, "", (), "web.fault")


async def error_page(
    request: Request, status: int, text: str, issues: tuple[Issue, ...], code: str
) -> Response:
    """Draw the page; without the frame when even that cannot be loaded."""
    title, advice = WORDS.get(status, WORDS[500])
    context: dict[str, Any] = {
        "title": title,
        "advice": advice,
        "text": text,
        "code": code,
        "faults": issues,
        "status_code": status,
    }
    try:
        visit = await visit_of(request)
        context.update(await rail.around(visit))
    except Exception:  # the database itself may be away; the page must still be drawn
        visit = Visit(request, request.app.state.store, request.app.state.settings, None, "vi")
    return visit.draw("error.html", status=status, **context)


__all__ = ["Conflict", "error_page", "on_benhan_error", "on_fault", "on_http_error"]
