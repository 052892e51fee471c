"""Renewal: a sealed record and a paper get archive time stamps and stay proved when certificates have run out."""

from __future__ import annotations

import random
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import typst

import benhan_verify
from benhan.base.clock import FrozenClock
from benhan.base.errors import InvalidInput
from benhan.signing import (
    LocalEvidence,
    LocalTimeStamper,
    SoftwareSigner,
    pdf_archive,
    pki,
    proof_ends,
    renew,
    seal,
    sign_pdf,
    verify_container,
    verify_pdf,
)
from benhan.signing.renewal import archive_manifest, parts_of, token_name, zipped
from benhan_verify.pdf import signatures

NOW = datetime.now(UTC)


def _later(days: int) -> FrozenClock:
    return FrozenClock(NOW + timedelta(days=days))


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A record sealed without a time stamp (the authority was away) and one with; a signed paper."""
    folder = tmp_path_factory.mktemp("pki")
    pki.create(folder)
    issued = pki.issue(folder, "Bệnh viện Thử", "seal", serial="51001")
    signer = SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder))
    tsa, files = LocalTimeStamper(folder), {"ho-so.json": b'{"a":72.50}', "Bệnh án.txt": b"x"}
    paper = typst.compile('#set document(title: "Giấy")\n= Giấy (thử)'.encode(), pdf_standards=["a-2b"])
    return SimpleNamespace(
        folder=folder, signer=signer, tsa=tsa, bare=await seal(files, signer), box=await seal(files, signer, tsa),
        paper=await sign_pdf(paper, signer, field="a", name="Thử", tsa=tsa), pem=(folder / "root.pem").read_bytes(),
        roots=benhan_verify.roots_of_pem((folder / "root.pem").read_bytes()),
    )  # fmt: skip


async def test_renewed_records_are_proved_by_both_verifiers(made) -> None:
    """Twice renewed, later than the signer's certificate; without its renewals the bare one is not proved then."""
    for box in (made.box, made.bare):
        once = await renew(box, LocalTimeStamper(made.folder, _later(30)))
        twice = await renew(once, LocalTimeStamper(made.folder, _later(60)))
        assert once.startswith(box[:200])
        assert list(parts_of(twice))[-1] == token_name(2)
        for days in (61, 3 * 365):
            verdict = benhan_verify.verify_container(twice, made.roots, NOW + timedelta(days=days))
            assert verdict.indication == "TOTAL-PASSED", verdict.as_text()
            assert "2 archive time stamps" in verdict.as_text()
            report = await verify_container(twice, made.pem, NOW + timedelta(days=days))
            assert report.ok, report
    late = NOW + timedelta(days=4 * 365)
    assert benhan_verify.verify_container(made.bare, made.roots, late).sub == "OUT_OF_BOUNDS_NO_POE"
    assert not (await verify_container(made.bare, made.pem, late)).ok


async def test_renewals_out_of_order_or_over_something_else_are_refused(made) -> None:
    """A token before the one it follows, a token of another box, a manifest that leaves a part out, a missing one."""
    once = await renew(made.box, LocalTimeStamper(made.folder, _later(60)))
    backwards = await renew(once, LocalTimeStamper(made.folder, _later(30)))
    twice = await renew(once, LocalTimeStamper(made.folder, _later(90)))
    other = parts_of(await renew(made.bare, LocalTimeStamper(made.folder, _later(60))))
    parts = parts_of(once)
    swapped = zipped({**parts, token_name(1): other[token_name(1)]})
    less = {k: v for k, v in parts_of(made.box).items() if k != "ho-so.json"}
    name = "META-INF/ASiCArchiveManifest001.xml"
    short = zipped({**parts, name: archive_manifest(less, 1)})
    hole = zipped({k: v for k, v in parts_of(twice).items() if "001" not in k})
    half = zipped({k: v for k, v in parts.items() if k != token_name(1)})
    late = NOW + timedelta(days=100)
    for bent in (backwards, swapped, short, hole, half):
        mine = benhan_verify.verify_container(bent, made.roots, late)
        theirs = await verify_container(bent, made.pem, late)
        assert mine.exit_code == 1
        assert not theirs.ok
        assert mine.sub
        assert theirs.sub
    early = benhan_verify.verify_container(once, made.roots, NOW)
    assert early.sub == "TIMESTAMP_ORDER_FAILURE"


def _mutations(box: bytes, made: SimpleNamespace, count: int) -> None:
    rng, late = random.Random(53), NOW + timedelta(days=100)
    for _ in range(count):
        place = rng.randrange(len(box))
        bent = bytearray(box)
        bent[place] = (bent[place] + rng.randrange(1, 256)) % 256
        verdict = benhan_verify.verify_container(bytes(bent), made.roots, late)
        assert verdict.exit_code == 1, place
        assert verdict.sub, place


async def test_one_byte_changed_anywhere_in_a_renewed_record_is_refused(made) -> None:
    """A seeded sample over the whole file, ZIP headers, directory and tokens included."""
    _mutations(await renew(made.box, LocalTimeStamper(made.folder, _later(30))), made, 200)


@pytest.mark.long
async def test_a_thousand_changed_bytes_of_a_renewed_record_are_refused(made) -> None:
    """The full count."""
    _mutations(await renew(made.box, LocalTimeStamper(made.folder, _later(30))), made, 1000)


def _openssl(pki_folder: Path, folder: Path) -> bool:
    command = ["openssl", "ts", "-verify", "-data", "m.xml", "-in", "t.tst", "-token_in",
               "-CAfile", str(pki_folder / "root.pem"), "-untrusted", str(pki_folder / "ca.pem")]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode == 0 and "Verification: OK" in done.stdout + done.stderr


async def test_an_outside_judge_accepts_the_archive_token(made, tmp_path: Path) -> None:
    """`openssl ts` reads the token over the archive manifest."""
    parts = parts_of(await renew(made.box, made.tsa))
    (tmp_path / "m.xml").write_bytes(parts["META-INF/ASiCArchiveManifest001.xml"])
    (tmp_path / "t.tst").write_bytes(parts[token_name(1)])
    assert _openssl(made.folder, tmp_path)
    (tmp_path / "m.xml").write_bytes(b"x")
    assert not _openssl(made.folder, tmp_path)


async def test_papers_of_level_lta(made, tmp_path: Path) -> None:
    """Evidence and a document time stamp: proved by both verifiers and by `pdfsig`, also years later; changes refused."""
    evidence = await LocalEvidence(made.folder).evidence(made.signer.certificate)
    kept = await pdf_archive(made.paper, made.tsa, evidence)
    again = await pdf_archive(kept, LocalTimeStamper(made.folder, _later(30)))
    for pdf in (kept, again):
        for days in (31, 3 * 365):
            at = NOW + timedelta(days=days)
            verdict = benhan_verify.verify_pdf(pdf, made.roots, at)
            assert verdict.indication == "TOTAL-PASSED", verdict.as_text()
            report = await verify_pdf(pdf, made.pem, at)
            assert report.ok, report
    (tmp_path / "a.pdf").write_bytes(kept)
    said = subprocess.run(
        ["pdfsig", "a.pdf"], cwd=tmp_path, capture_output=True, text=True, check=False
    ).stdout
    assert "Signature is Valid" in said, said
    assert "Total document signed" in said  # pdfsig does not judge document time stamps: openssl does
    stamp = signatures(kept)[-1]
    (tmp_path / "m.xml").write_bytes(stamp.covered(kept))
    (tmp_path / "t.tst").write_bytes(stamp.cms)
    assert _openssl(made.folder, tmp_path)
    bent = (
        kept.replace(b"/Producer", b"/Prodacer", 1)
        if b"/Producer" in kept
        else kept[:900] + b"x" + kept[901:]
    )
    assert not (await verify_pdf(bent, made.pem)).ok
    assert benhan_verify.verify_pdf(bent, made.roots).exit_code == 1
    for tail in (b"\n% x", b"\n1 0 obj\n<<>>\nendobj\n"):
        assert not (await verify_pdf(kept + tail, made.pem)).ok


async def test_the_end_of_the_proof_is_known(made) -> None:
    """The end of the signer's certificate without a stamp, else of the newest authority's; broken boxes are not renewed."""
    assert proof_ends(made.bare) == made.signer.certificate.not_valid_after
    assert proof_ends(made.box) > proof_ends(made.bare)
    assert proof_ends(await renew(made.bare, made.tsa)) == proof_ends(made.box)
    with pytest.raises(InvalidInput, match="không đúng dạng chuẩn"):
        await renew(made.box + b"\0", made.tsa)
