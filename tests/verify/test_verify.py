"""The stand-alone verifier agrees with what the signing room makes and refuses everything else with a reason."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import typst
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import benhan_verify
from benhan.signing import LocalTimeStamper, Place, SoftwareSigner, pki, seal, sign_cades, sign_pdf
from benhan.signing.container import MANIFEST, SIGNATURE, manifest, pack

ENTRY = "Diễn biến: giảm sốt, đỡ khó thở.".encode()
LATER = datetime.now(UTC) + timedelta(days=3 * 365)
SRC = Path(benhan_verify.__file__).parents[1]


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A PKI, a signer with and without a stamper, a paper signed twice and a sealed record with it."""
    folder = tmp_path_factory.mktemp("pki")
    pki.create(folder)
    issued = pki.issue(folder, "Nguyễn Văn Thử", "person", serial="000001/QNG-CCHN")
    signer = SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder))
    tsa = LocalTimeStamper(folder)
    paper = typst.compile(
        '#set document(title: "Giấy thử")\n= Giấy ra viện (thử)'.encode(), pdf_standards=["a-2b"]
    )
    once = await sign_pdf(
        paper, signer, field="bac_si", name="Thử", tsa=tsa, place=Place(0, (50, 50, 250, 90))
    )
    twice = await sign_pdf(once, signer, field="truong_khoa", name="Thử", tsa=tsa)
    files = {"giay.pdf": twice, "ho-so.json": b'{"a":72.50}', "Bệnh án & 'x'.txt": ENTRY}
    return SimpleNamespace(
        folder=folder, signer=signer, tsa=tsa, paper=paper, once=once, twice=twice, files=files,
        box=await seal(files, signer, tsa), root=folder / "root.pem",
        roots=benhan_verify.roots_of_pem((folder / "root.pem").read_bytes()),
    )  # fmt: skip


def _reason(verdict: benhan_verify.Verdict) -> tuple[str, str]:
    assert any(f.ok is False for f in verdict.findings) is (verdict.indication != "TOTAL-PASSED")
    return verdict.indication, verdict.sub


PASSED = ("TOTAL-PASSED", "")


def test_sealed_record_is_proved(made) -> None:
    """Container, its signature, its stamp and both signatures of the paper inside."""
    verdict = benhan_verify.verify_container(made.box, made.roots)
    assert _reason(verdict) == PASSED, verdict.as_text()
    assert [s.name for s in verdict.signers] == ["Nguyễn Văn Thử (thử nghiệm)"] * 3
    assert all(s.stamped_at is not None for s in verdict.signers)


def test_papers_are_proved(made) -> None:
    """One signature, two signatures; a paper without one is refused."""
    for pdf, count in ((made.once, 1), (made.twice, 2)):
        verdict = benhan_verify.verify_pdf(pdf, made.roots)
        assert _reason(verdict) == PASSED, verdict.as_text()
        assert len(verdict.signers) == count
    assert _reason(benhan_verify.verify_pdf(made.paper, made.roots)) == ("TOTAL-FAILED", "FORMAT_FAILURE")


async def test_detached_signature_is_proved_and_a_change_refused(made) -> None:
    """Content and signature belong together."""
    signature = await sign_cades(ENTRY, made.signer, made.tsa)
    assert _reason(benhan_verify.verify_detached(ENTRY, signature, made.roots)) == PASSED
    changed = benhan_verify.verify_detached(ENTRY + b" ", signature, made.roots)
    assert _reason(changed) == ("TOTAL-FAILED", "HASH_FAILURE")
    longer = benhan_verify.verify_detached(ENTRY, signature + b"\0", made.roots)
    assert _reason(longer) == ("TOTAL-FAILED", "FORMAT_FAILURE")


def _flip(count: int, made: SimpleNamespace, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, path = random.Random(23), folder / "bent.asice"
    for _ in range(count):
        bent = bytearray(made.box)
        place = rng.randrange(len(bent))
        bent[place] ^= 1 << rng.randrange(8)
        path.write_bytes(bent)
        assert benhan_verify.main([str(path), "--json", "--root", str(made.root)]) in (1, 2), place
        said = json.loads(capsys.readouterr().out)
        assert said["subIndication"], place
        assert any(f["ok"] is False and f["vi"] and f["en"] for f in said["findings"]), place


def test_a_flipped_bit_anywhere_is_refused(made, tmp_path, capsys) -> None:
    """Two hundred random bits of a sealed record, one at a time."""
    _flip(200, made, tmp_path, capsys)


@pytest.mark.long
def test_a_thousand_flipped_bits_are_refused(made, tmp_path, capsys) -> None:
    """The full count."""
    _flip(1000, made, tmp_path, capsys)


def test_every_bit_of_the_directory_is_bound(made) -> None:
    """Each bit of the last 600 bytes (central directory and end record) counts."""
    for place in range(len(made.box) - 600, len(made.box)):
        for bit in range(8):
            bent = bytearray(made.box)
            bent[place] ^= 1 << bit
            assert benhan_verify.verify_container(bytes(bent), made.roots).exit_code == 1, (place, bit)


def test_a_flipped_bit_of_a_signed_paper_is_refused(made) -> None:
    """Outside the signature containers every bit counts."""
    rng = random.Random(29)
    for _ in range(100):
        bent = bytearray(made.twice)
        place = rng.randrange(len(made.paper))
        bent[place] ^= 1 << rng.randrange(8)
        assert benhan_verify.verify_pdf(bytes(bent), made.roots).exit_code == 1, place


def _parts(box: bytes) -> tuple[bytes, bytes]:
    with zipfile.ZipFile(BytesIO(box)) as archive:
        return archive.read(MANIFEST), archive.read(SIGNATURE)


def test_missing_extra_and_changed_files_are_named(made) -> None:
    """Repacked canonically, only the manifest can tell: it does, by name."""
    listing, signature = _parts(made.box)
    less = {n: b for n, b in made.files.items() if n != "ho-so.json"}
    for files, word in (
        (less, "missing"),
        (made.files | {"them.txt": b"x"}, "extra"),
        (made.files | {"ho-so.json": b"{}"}, "changed"),
    ):
        verdict = benhan_verify.verify_container(pack(files, listing, signature), made.roots)
        assert _reason(verdict) == ("TOTAL-FAILED", "HASH_FAILURE")
        told = verdict.findings[0].en
        assert [w for w in ("missing", "extra", "changed") if f"{w} " in told] == [word], told
        rebuilt = benhan_verify.verify_container(pack(files, manifest(files), signature), made.roots)
        assert _reason(rebuilt) == ("TOTAL-FAILED", "HASH_FAILURE")


def test_trailing_and_leading_bytes_are_refused(made) -> None:
    """A container is its bytes and no others; so is a signed paper."""
    for bent in (made.box + b"\0", b"\0" + made.box, made.box + made.box, made.box[:-1], b"", b"PK\x03\x04"):
        assert benhan_verify.verify_container(bent, made.roots).exit_code == 1
    assert benhan_verify.verify_pdf(made.twice + b"\n% x", made.roots).sub == "FORMAT_FAILURE"


async def test_swapped_signature_is_refused(made) -> None:
    """The signature of another record, and a token over another signature."""
    other = await seal({"khac.txt": b"x"}, made.signer, made.tsa)
    listing, signature = _parts(made.box)
    swapped = pack(made.files, listing, _parts(other)[1])
    assert _reason(benhan_verify.verify_container(swapped, made.roots)) == ("TOTAL-FAILED", "HASH_FAILURE")
    from asn1crypto import cms

    mine, theirs = (cms.ContentInfo.load(s) for s in (signature, _parts(other)[1]))
    mine["content"]["signer_infos"][0]["unsigned_attrs"] = theirs["content"]["signer_infos"][0][
        "unsigned_attrs"
    ]
    moved = pack(made.files, listing, mine.dump())
    verdict = benhan_verify.verify_container(moved, made.roots)
    assert _reason(verdict) == ("TOTAL-FAILED", "HASH_FAILURE")
    assert "time stamp" in verdict.as_text()


def test_foreign_root_and_no_root_prove_no_signer(made, tmp_path) -> None:
    """A sound signature by an unknown person is indeterminate; the embedded root is not believed."""
    pki.create(tmp_path / "other")
    foreign = benhan_verify.roots_of_pem((tmp_path / "other" / "root.pem").read_bytes())
    for roots in (foreign, ()):
        for verdict in (
            benhan_verify.verify_container(made.box, roots),
            benhan_verify.verify_pdf(made.once, roots),
        ):
            assert _reason(verdict) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


async def test_expired_signer_is_proved_by_the_stamp_alone(made) -> None:
    """Three years later the certificate has expired: with a stamp it stands, without one it does not."""
    assert _reason(benhan_verify.verify_container(made.box, made.roots, LATER)) == PASSED
    bare = await sign_cades(ENTRY, made.signer, None)
    assert _reason(benhan_verify.verify_detached(ENTRY, bare, made.roots)) == PASSED
    later = benhan_verify.verify_detached(ENTRY, bare, made.roots, LATER)
    assert _reason(later) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")
    early = benhan_verify.verify_container(made.box, made.roots, datetime.now(UTC) - timedelta(days=1))
    assert early.sub == "TIMESTAMP_ORDER_FAILURE"


async def test_certificates_of_the_wrong_kind_are_refused(made, tmp_path) -> None:
    """A time-stamp certificate may not sign; a person's may neither stamp nor issue."""
    tsa_as_signer = SoftwareSigner.load(
        (made.folder / "tsa.pem").read_bytes(), (made.folder / "tsa.key").read_bytes(), pki.chain(made.folder)
    )
    signature = await sign_cades(ENTRY, tsa_as_signer, made.tsa)
    wrong = ("INDETERMINATE", "CHAIN_CONSTRAINTS_FAILURE")
    assert _reason(benhan_verify.verify_detached(ENTRY, signature, made.roots)) == wrong
    issued = pki.issue(made.folder, "Kẻ mạo danh", "person")
    for name, data in (
        ("tsa.pem", issued.certificate),
        ("tsa.key", issued.key),
        ("ca.pem", pki.chain(made.folder)),
    ):
        (tmp_path / name).write_bytes(data)
    forged = await sign_cades(ENTRY, made.signer, LocalTimeStamper(tmp_path))
    assert _reason(benhan_verify.verify_detached(ENTRY, forged, made.roots)) == wrong
    below = _issued_by(issued, made.folder)
    assert _reason(
        benhan_verify.verify_detached(ENTRY, await sign_cades(ENTRY, below, None), made.roots)
    ) == wrong  # fmt: skip


def _issued_by(issuer: pki.Issued, folder: Path, curve: ec.EllipticCurve | None = None) -> SoftwareSigner:
    """An EC signer whose certificate ``issuer`` signed."""
    parent = x509.load_pem_x509_certificate(issuer.certificate)
    key = ec.generate_private_key(curve or ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Người ký EC (thử nghiệm)")])
    now = datetime.now(UTC)
    signing_key = serialization.load_pem_private_key(issuer.key, None)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=10))
        .sign(signing_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = issuer.certificate + pki.chain(folder)
    return SoftwareSigner.load(certificate.public_bytes(pem), private, chain)


async def test_elliptic_curve_signers_and_weak_curves(made) -> None:
    """P-256 is proved, P-224 is too weak."""
    ca = pki.Issued((made.folder / "ca.pem").read_bytes(), (made.folder / "ca.key").read_bytes())
    good = await sign_cades(ENTRY, _issued_by(ca, made.folder), made.tsa)
    assert _reason(benhan_verify.verify_detached(ENTRY, good, made.roots)) == PASSED
    weak = await sign_cades(ENTRY, _issued_by(ca, made.folder, ec.SECP224R1()), made.tsa)
    verdict = benhan_verify.verify_detached(ENTRY, weak, made.roots)
    assert _reason(verdict) == ("INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE")


def test_byte_range_that_leaves_out_more_is_refused(made) -> None:
    """A range that skips content, or starts late, is not a signature of the file."""
    for old, new in ((b"/ByteRange [0 ", b"/ByteRange [1 "), (b"/ByteRange", b"/ByteRangf")):
        assert old in made.once
        assert benhan_verify.verify_pdf(made.once.replace(old, new), made.roots).sub == "FORMAT_FAILURE"


async def test_command_line_offline_without_the_application(made, tmp_path) -> None:
    """A process that cannot import `benhan` nor open a socket gives the exit codes and one JSON object a file."""
    (tmp_path / "ho-so.asice").write_bytes(made.box)
    (tmp_path / "giay.pdf").write_bytes(made.twice)
    (tmp_path / "dien-bien.txt").write_bytes(ENTRY)
    (tmp_path / "dien-bien.txt.p7s").write_bytes(await sign_cades(ENTRY, made.signer, made.tsa))
    (tmp_path / "la.bin").write_bytes(b"x")
    script = (
        "import sys\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('benhan', 'pyhanko', 'lxml', 'psycopg'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        "def hook(event, args):\n"
        "    if event.startswith('socket.'): raise RuntimeError(event)\n"
        "sys.addaudithook(hook)\n"
        "import benhan_verify\n"
        "code = benhan_verify.main(sys.argv[1:])\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'benhan']\n"
        "sys.exit(code)\n"
    )
    good = ["ho-so.asice", "giay.pdf", "dien-bien.txt"]
    for names, root, code in (
        (good, True, 0),
        (["dien-bien.txt.p7s"], True, 0),
        (good, False, 1),
        ([*good, "la.bin"], True, 2),
        (["khong-co.asice"], True, 2),
    ):
        command = [
            sys.executable,
            "-c",
            script,
            *names,
            "--json",
            *(["--root", str(made.root)] if root else []),
        ]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        said = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(said) == len(names)
        assert (said[0]["indication"] == "TOTAL-PASSED") is (
            root and names[0] in (*good, "dien-bien.txt.p7s")
        )


def test_module_runs_and_speaks_both_languages(made, tmp_path) -> None:
    """`python -m benhan_verify` prints Vietnamese, then English."""
    (tmp_path / "a.asice").write_bytes(made.box)
    done = subprocess.run(
        [sys.executable, "-m", "benhan_verify", str(tmp_path / "a.asice"), "--root", str(made.root)],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(SRC), "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 tệp khớp danh mục SHA-256. / Canonical container; 3 files match" in done.stdout
    assert benhan_verify.main([str(tmp_path / "a.asice"), "--root", str(tmp_path / "none.pem")]) == 2


async def test_flipped_bits_of_a_signature_never_change_what_is_proved(made) -> None:
    """Bits of a bare CMS: refused, or (unused certificates, unsigned parts) the same signer is proved as before."""
    signature = await sign_cades(ENTRY, made.signer, made.tsa)
    whole = benhan_verify.verify_detached(ENTRY, signature, made.roots)
    rng = random.Random(31)
    for _ in range(400):
        bent = bytearray(signature)
        place = rng.randrange(len(bent))
        bent[place] ^= 1 << rng.randrange(8)
        verdict = benhan_verify.verify_detached(ENTRY, bytes(bent), made.roots)
        if verdict.exit_code == 0:
            assert verdict.signers[0].serial == whole.signers[0].serial, place
            assert verdict.signers[0].stamped_at in (None, whole.signers[0].stamped_at), place
        else:
            assert verdict.sub, place


def test_signature_made_by_another_program_is_proved(made, tmp_path) -> None:
    """`openssl cms` signs with the same key; RSA with SHA-512 and no signing-certificate attribute."""
    key = made.signer.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(key)
    certificate = x509.load_der_x509_certificate(made.signer.certificate.dump())
    (tmp_path / "signer.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "entry").write_bytes(ENTRY)
    for digest, said in (("sha512", PASSED), ("sha1", ("INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE"))):
        subprocess.run(
            ["openssl", "cms", "-sign", "-binary", "-in", "entry", "-signer", "signer.pem", "-inkey", "key.pem",
             "-certfile", made.folder / "ca.pem", "-md", digest, "-outform", "DER", "-out", "entry.p7s"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
        verdict = benhan_verify.verify_file(tmp_path / "entry", made.roots)
        assert _reason(verdict) == said, verdict.as_text()
