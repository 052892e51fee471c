"""Many packages in one stream, one at a time: what a hub takes when another system hands over a month, or its whole past.

Two spellings: envelopes one after another (``<GIAMDINHHS>…</GIAMDINHHS>``, divided by line ends or not), or packages in
base64, one a line, or wrapped with a blank line between them. Memory holds one package; one that is larger than ``MOST``
is given up with a refusal and skipped.
Nothing is parsed here: the pieces go to :func:`.ingest.ingest`, which refuses what is hostile.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from benhan.gateways.bhyt.ingest import IngestResult, ingest
from benhan.store import Repository, TenantInfo

#: largest single package, bytes
MOST = 64 * 1024 * 1024
_END = b"</GIAMDINHHS>"
#: lines of wrapped base64 are not longer than this
_WRAPPED = 128
_BLANKS = b" \t\r\n\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What became of package ``number`` (from 1) of the stream."""

    number: int
    result: IngestResult


def _end_of(held: bytearray) -> bytes:
    """Where the package that begins here ends: its closing tag, its line, or the blank line after wrapped base64."""
    if held[:1] == b"<":
        return _END
    return b"\n\n" if 0 <= held.find(b"\n") <= _WRAPPED else b"\n"


async def pieces(chunks: AsyncIterable[bytes], most: int = MOST) -> AsyncIterator[bytes | None]:
    """The packages of a stream, as bytes; None for one that was larger than ``most``."""
    held = bytearray()
    end = b""
    seen = 0
    dropping = False
    async for chunk in chunks:
        held += chunk
        while True:
            if not end:
                while held[:1] and held[:1] in _BLANKS:
                    del held[:1]
                if not held:
                    break
                if held[:1] != b"<" and len(held) <= _WRAPPED:
                    break
                end = _end_of(held)
            at = held.find(end, max(0, seen - len(end)))
            if at < 0:
                seen = len(held)
                if seen > most:
                    dropping, seen = True, len(end)
                    del held[: -len(end)]
                break
            stop = at + len(end)
            yield None if dropping else bytes(held[:stop])
            del held[:stop]
            end, seen, dropping = b"", 0, False
    rest = bytes(held).strip(_BLANKS)
    if dropping:
        yield None
    elif rest:
        yield rest


async def ingest_stream(
    repo: Repository,
    chunks: AsyncIterable[bytes],
    source_name: str,
    *,
    sender: TenantInfo | None = None,
    most: int = MOST,
) -> AsyncIterator[StreamResult]:
    """Take every package of a stream over, each in its own transaction; the stream may be cut off after any of them."""
    number = 0
    async for raw in pieces(chunks, most):
        number += 1
        if raw is None:
            reason = f"Gói lớn hơn {most // (1024 * 1024)} MiB, không đọc."
            yield StreamResult(number, IngestResult("quarantined", None, reason, code="bhyt.too-large"))
            continue
        yield StreamResult(
            number,
            await ingest(repo, raw, source_name if number == 1 else f"{source_name}#{number}", sender=sender),
        )
    if not number:
        yield StreamResult(1, await ingest(repo, b"", source_name, sender=sender))
