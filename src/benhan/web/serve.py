"""Serve the pages by Granian: processes, HTTP/1 and HTTP/2, HTTPS for any address but this machine's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from benhan.base.errors import ConfigurationError
from benhan.base.settings import Settings, load
from benhan.web.app import node_app

TARGET = "benhan.web.serve:factory"


def factory() -> ASGIApp:
    """App of a server process; settings come from the environment that `run` has set."""
    return node_app(load())


def check(settings: Settings) -> None:
    """Raises: ``ConfigurationError`` (web.needs-tls) when pages would leave this machine in the clear."""
    if not settings.local_only and not (settings.tls_cert and settings.tls_key):
        raise ConfigurationError(
            "web.needs-tls",
            f"Địa chỉ {settings.host} mở ra mạng nên phải có HTTPS: ghi tls_cert và tls_key "
            '(tạo bằng `benhan cert node`), hoặc để host = "127.0.0.1".',
        )
    for name in ("tls_cert", "tls_key"):
        path: Path | None = getattr(settings, name)
        if path is not None and not path.is_file():
            raise ConfigurationError("web.no-tls-file", f"Không có tệp {path} ghi ở {name}.")


def export(settings: Settings) -> None:
    """Put the settings into the environment, so that server processes load the same ones."""
    os.environ.pop("BENHAN_CONFIG", None)
    for name in type(settings).model_fields:
        value: Any = getattr(settings, name)
        if value is not None:
            text = json.dumps(value) if isinstance(value, tuple) else str(value)
            os.environ[f"BENHAN_{name.upper()}"] = text


def run(settings: Settings, target: str = TARGET) -> None:
    """Serve until told to stop. ``target``: module and factory of the ASGI app.

    Raises: ``ConfigurationError`` (web.needs-tls, web.no-tls-file).
    """
    check(settings)
    export(settings)
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    secure = settings.tls_cert is not None and settings.tls_key is not None and not settings.local_only
    Granian(
        target,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=settings.web_processes,
        ssl_cert=settings.tls_cert if secure else None,
        ssl_key=settings.tls_key if secure else None,
        log_level=LogLevels(settings.log_level),
        respawn_failed_workers=True,
    ).serve()
