"""`benhan doctor`: looks at the installation and says in a sentence what is wrong and what to do."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cryptography import x509

from benhan.base.clock import SYSTEM_CLOCK
from benhan.base.errors import BenhanError
from benhan.base.settings import Settings
from benhan.store import Store

OLD_EMBEDDED = (18, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``state`` is ``ok``, ``warn`` or ``fail``."""

    state: str
    what: str
    text: str


def look_around(settings: Settings) -> list[Finding]:
    """Findings that need no database: Python, disk, secrets, certificates, addresses."""
    return [_python(), _disk(settings), *_secrets(settings), *_tls(settings)]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("ok" if sys.version_info >= (3, 11) else "fail", "Python", version)


def _disk(settings: Settings) -> Finding:
    home = settings.home if settings.home.exists() else settings.home.absolute().parent
    free = shutil.disk_usage(home).free // 2**30
    state = "ok" if free >= 10 else "warn" if free >= 2 else "fail"
    return Finding(state, "Ổ đĩa", f"còn {free} GiB; nên còn ít nhất 10 GiB")


def _secrets(settings: Settings) -> list[Finding]:
    if not settings.secrets_dir.exists():
        return [Finding("warn", "Khóa", "chưa có; chạy `benhan migrate` để tạo")]
    loose = [
        path.name
        for path in settings.secrets_dir.rglob("*")
        if path.is_file()
        and os.name == "posix"
        and stat.S_IMODE(path.stat().st_mode) & 0o077
        and path.suffix not in (".crt", ".pem", ".crl", ".der")
    ]
    if loose:
        return [Finding("fail", "Khóa", f"tệp {', '.join(sorted(loose))} ai cũng đọc được; đặt quyền 0600")]
    return [Finding("ok", "Khóa", "chỉ tài khoản này đọc được")]


def _tls(settings: Settings) -> list[Finding]:
    if settings.tls_cert is None:
        if settings.local_only:
            return [Finding("ok", "HTTPS", "chỉ phục vụ trên máy này, không cần chứng thư")]
        return [Finding("fail", "HTTPS", "địa chỉ mở ra mạng mà thiếu tls_cert; tạo bằng `benhan cert node`")]
    try:
        certificate = x509.load_pem_x509_certificate(settings.tls_cert.read_bytes())
    except (OSError, ValueError):
        return [Finding("fail", "HTTPS", f"không đọc được chứng thư {settings.tls_cert.name}")]
    days = (certificate.not_valid_after_utc - SYSTEM_CLOCK.now()).days
    state = "ok" if days > 30 else "warn" if days > 0 else "fail"
    return [Finding(state, "HTTPS", f"chứng thư còn {days} ngày")]


async def look_inside(settings: Settings) -> AsyncIterator[Finding]:
    """Findings from the database: start-up assertions, versions, backlog, facilities."""
    try:
        store = await Store.open(settings)
    except BenhanError as error:
        yield Finding("fail", "Cơ sở dữ liệu", error.text)
        return
    try:
        for state, what, text in await store.health():
            yield Finding(state, what, text)
        tenants = await store.tenants()
        yield Finding("ok" if tenants else "warn", "Cơ sở", f"{len(tenants)} cơ sở trong cài đặt này")
    finally:
        await store.close()
