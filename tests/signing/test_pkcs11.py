"""Keys in a PKCS#11 token (SoftHSM): signatures are accepted, wrong PINs and missing things are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typst
from tests.signing.tokens import MODULE, PIN, soft_token

from benhan.base.errors import BenhanError
from benhan.signing import (
    SIGNER_FAULTS,
    LocalTimeStamper,
    TokenPlace,
    TokenSigner,
    pki,
    sign_cades,
    sign_pdf,
    verify_entry,
    verify_pdf,
)

ENTRY = "Diễn biến: giảm sốt.".encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A token with an RSA and an EC key made inside it, certified by a test PKI."""
    home = tmp_path_factory.mktemp("softhsm")
    folder = home / "pki"
    pki.create(folder)
    with soft_token(home, folder) as token:
        yield SimpleNamespace(
            folder=folder, tsa=LocalTimeStamper(folder), roots=(folder / "root.pem").read_bytes(),
            chain=pki.chain(folder), token=token,
        )  # fmt: skip


@pytest.mark.parametrize("label", ["ky-rsa", "ky-ec"])
async def test_token_signs_entries_and_papers(made, label) -> None:
    """Both kinds of key make signatures that verify; a changed byte is refused."""
    signer = await TokenSigner.open(TokenPlace(MODULE, "bac-si", label), PIN, made.chain)
    signature = await sign_cades(ENTRY, signer, made.tsa)
    assert (await verify_entry(ENTRY, signature, made.roots)).ok
    assert not (await verify_entry(ENTRY + b"!", signature, made.roots)).ok
    paper = typst.compile('#set document(title: "Giấy thử")\n= Giấy (thử)'.encode(), pdf_standards=["a-2b"])
    report = await verify_pdf(await sign_pdf(paper, signer, field="ky", name="Thử", tsa=made.tsa), made.roots)
    assert report.ok
    assert report.signer == f"Bác sĩ {label} (thử nghiệm)"
    assert PIN not in repr(signer)


@pytest.mark.parametrize(
    ("place", "pin", "code"),
    [
        (TokenPlace(MODULE, "bac-si", "ky-rsa"), "000000", "signing.wrong-pin"),
        (TokenPlace(MODULE, "khac", "ky-rsa"), PIN, "signing.no-token"),
        (TokenPlace(MODULE, "bac-si", "khac"), PIN, "signing.no-key-in-token"),
        (TokenPlace(Path("/khong/co.so"), "bac-si", "ky-rsa"), PIN, "signing.token-failed"),
    ],
)
async def test_faults_of_the_token_are_told_apart(made, place, pin, code) -> None:
    """Wrong PIN, no token, no key, no driver: each has its own code."""
    with pytest.raises(BenhanError) as caught:
        await TokenSigner.open(place, pin, made.chain)
    assert caught.value.code == code


async def test_wrong_pin_at_signing_is_refused(made) -> None:
    """The PIN is asked for at each signature, not only at the first look."""
    good = await TokenSigner.open(TokenPlace(MODULE, "bac-si", "ky-rsa"), PIN, made.chain)
    with pytest.raises(BenhanError) as caught:
        await sign_cades(ENTRY, TokenSigner(good.certificate, good.chain, good.place, "000000"), made.tsa)
    assert caught.value.code == "signing.wrong-pin"


async def test_token_pulled_out_signs_again_when_it_is_back(made) -> None:
    """While it is out each try says so and makes nothing; plugged in again it signs, without a restart."""
    signer = await TokenSigner.open(TokenPlace(MODULE, "bac-si", "ky-ec"), PIN, made.chain)
    made.token.pull()
    try:
        for _ in range(2):
            with pytest.raises(BenhanError) as away:
                await sign_cades(ENTRY, signer, made.tsa)
            assert away.value.code in SIGNER_FAULTS
    finally:
        made.token.plug()
    for _ in range(2):
        assert (await verify_entry(ENTRY, await sign_cades(ENTRY, signer, made.tsa), made.roots)).ok
