"""Static files: read once, served under a version made of their content, kept by browsers for a year.

Only files that ship with the program are here; nothing of a patient passes through this module, so they may be
compressed.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benhan.forms import STATIC_DIR as FORMS_DIR

STATIC_DIR = Path(__file__).parent / "static"
_TYPES = {".woff2": "font/woff2", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_PLAIN_NAMES = ("LICENSE",)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, the same compressed (empty when that does not help), its type."""

    data: bytes
    packed: bytes
    media_type: str


@cache
def assets() -> dict[str, Asset]:
    """All files by path below ``/static/<version>/``; the form room's lie under ``forms/``."""
    found: dict[str, Asset] = {}
    for folder, prefix in ((STATIC_DIR, ""), (FORMS_DIR, "forms/")):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = prefix + path.relative_to(folder).as_posix()
                data = path.read_bytes()
                packed = b"" if path.suffix == ".woff2" else gzip.compress(data, 9, mtime=0)
                kind = (
                    _TYPES.get(path.suffix)
                    or mimetypes.guess_type(path.name)[0]
                    or "text/plain; charset=utf-8"
                )
                found[name] = Asset(data, packed, kind)
    return found


@cache
def version() -> str:
    """Hash of all files: changes when one of them does."""
    digest = hashlib.sha256()
    for name, asset in assets().items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(asset.data).digest())
    return digest.hexdigest()[:12]


def static_url(name: str) -> str:
    """Address of a file. Raises: ``KeyError`` when there is none (a fault of a template)."""
    if name not in assets():
        raise KeyError(name)
    return f"/static/{version()}/{name}"


async def serve(request: Request) -> Response:
    """Answer one file; an older version's address gets the present file, without the long life."""
    asset = assets().get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    current = request.path_params["version"] == version()
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if current else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if asset.packed and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.packed, headers=headers, media_type=asset.media_type)
    return Response(asset.data, headers=headers, media_type=asset.media_type)


ROUTES = [Route("/static/{version}/{name:path}", serve, methods=["GET"])]
