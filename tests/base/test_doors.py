"""The two doors: what they refuse, what they keep."""

from __future__ import annotations

import csv
import time
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benhan.base import json_door, xml_door
from benhan.base.errors import BenhanError, InvalidInput, TooLarge

CORPUS = Path(__file__).parents[1] / "data" / "parser-attack-corpus"
INDEX = {row["file"]: row for row in csv.DictReader((CORPUS / "index.csv").open(encoding="utf-8"))}
DOOR_JSON = {
    "deep_nesting.json": "json.too-deep",
    "huge_number.json": "json.number",
    "nan_infinity.json": "json.number",
    "duplicate_keys.json": "json.duplicate-key",
    "lone_surrogate.json": "json.character",
    "nul_in_string.json": "json.character",
    "bidi_override.json": "json.character",
}
DOOR_XML = {
    "xxe_file.xml": "xml.doctype",
    "xxe_http.xml": "xml.doctype",
    "xxe_parameter_entity.xml": "xml.doctype",
    "external_dtd.xml": "xml.doctype",
    "doctype_only.xml": "xml.doctype",
    "billion_laughs.xml": "xml.doctype",
    "quadratic_blowup.xml": "xml.doctype",
    "xinclude.xml": "xml.xinclude",
    "deep_nesting.xml": "xml.too-deep",
    "many_attributes.xml": "xml.too-many-attributes",
    "utf7_xxe.xml": "xml.encoding",
    "utf16_xxe.xml": "xml.doctype",
    "cda_reference_traversal.xml": "xml.outside-reference",
}


@pytest.mark.parametrize(("name", "code"), DOOR_JSON.items())
def test_hostile_json_is_refused(name: str, code: str) -> None:
    """Each file the index wants refused at the door is refused, with its own code."""
    assert INDEX[name]["expected"].startswith("reject")
    with pytest.raises(BenhanError) as caught:
        json_door.loads((CORPUS / name).read_bytes())
    assert caught.value.code == code
    assert caught.value.status in (400, 413)


@pytest.mark.parametrize(("name", "code"), DOOR_XML.items())
def test_hostile_xml_is_refused(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused in under a second and 64 MB, without asking the network anything."""

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the door went to the network")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setattr("socket.socket.connect", no_network)
    raw = (CORPUS / name).read_bytes()
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(BenhanError) as caught:
        xml_door.parse(raw)
    assert time.perf_counter() - started < 1
    assert tracemalloc.get_traced_memory()[1] < 64_000_000
    tracemalloc.stop()
    assert caught.value.code == code


def test_stylesheet_instruction_is_ignored() -> None:
    """A stylesheet instruction is a node like another and changes nothing."""
    root = xml_door.parse((CORPUS / "xslt_pi.xml").read_bytes())
    assert root.tag == "{http://hl7.org/fhir}Patient"
    assert xml_door.serialize(root).startswith(b"<?xml version='1.0' encoding='UTF-8'?>")


def test_wrapped_signature_target_is_ambiguous() -> None:
    """An id that two elements claim identifies neither."""
    root = xml_door.parse((CORPUS / "xsw_duplicate_id.xml").read_bytes())
    with pytest.raises(InvalidInput) as caught:
        xml_door.by_id(root, "s1")
    assert caught.value.code == "xml.id-ambiguous"
    with pytest.raises(InvalidInput):
        xml_door.by_id(root, "absent")


def test_html_in_cda_body_is_text_only() -> None:
    """HTML inside CDATA comes out as characters, never as elements."""
    root = xml_door.parse((CORPUS / "cda_nonxmlbody_html.xml").read_bytes())
    assert [e.tag for e in root.iter() if "script" in str(e.tag)] == []


def test_honest_utf16_is_read_and_a_lie_refused() -> None:
    """UTF-16 needs both byte order mark and declaration."""
    honest = '<?xml version="1.0" encoding="UTF-16"?><a>Đỗ</a>'.encode("utf-16")
    assert xml_door.parse(honest).text == "Đỗ"
    for lie in (
        b'<?xml version="1.0" encoding="UTF-16"?><a/>',
        '<?xml version="1.0" encoding="UTF-8"?><a/>'.encode("utf-16"),
        '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16-le"),
        b'<?xml version="1.0" encoding="windows-1258"?><a/>',
        b"<a>\xff</a>",
    ):
        with pytest.raises(InvalidInput):
            xml_door.parse(lie)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[1,]", b"{'a':1}", b"01", b"1.", b".5", b"+1", b"0x1", b"Infinity", b"-Infinity",
        b"[1e]", b'{"a":1} {"b":2}', b'\xef\xbb\xbf{"a":1}', b'"\xff"', b'"\x00"', b'"\n"', b'"\\x41"',
        b'"\\u12"', b'{"a":1,"\\u0061":2}', b'{"a":{"b":1,"b":1}}', b'{"a":"\\ud83d"}', b'{"\\u0000":1}',
        b"1" * 41, b"1e401", b"18446744073709551616", b'["\\u0041", 18446744073709551616]',
        b"0." + b"1" * 41, b"1E999999999", b"tru", b"/**/1",
    ],
)  # fmt: skip
def test_malformed_json_is_refused(raw: bytes) -> None:
    """Nothing but RFC 8259 JSON with one meaning passes."""
    with pytest.raises(InvalidInput):
        json_door.loads(raw)


@pytest.mark.parametrize(
    "text", ["72.50", "0.10", "0.0", "-0.00", "1.000", "100", "0", "-3", "3.14159265358979323846"]
)
def test_number_text_is_kept(text: str) -> None:
    """A number is written back with the digits it came with."""
    raw = f'{{"value":{text}}}'.encode()
    assert json_door.dumps(json_door.loads(raw)) == raw


def test_colons_and_escapes_do_not_deceive_the_duplicate_check() -> None:
    """Colons in strings and escapes are no pairs."""
    for raw in (b'{"a:b":":::","c":"\\u003a","d":["\\":\\""]}', b'{"a":{"a":1},"b":[{"a":1},{"a":2}]}'):
        assert json_door.loads(raw)
    with pytest.raises(InvalidInput):
        json_door.loads(b'{"a":"\\u003a","a":":"}')
    with pytest.raises(InvalidInput):
        json_door.loads(b'{"a":":","a":1}')


def test_size_and_depth_are_bounded() -> None:
    """Limits are those given by the caller."""
    with pytest.raises(TooLarge):
        json_door.loads(b'{"a":1}', max_bytes=6)
    assert json_door.loads(b"[" * 5 + b"]" * 5, max_depth=5)
    with pytest.raises(TooLarge):
        json_door.loads(b"[" * 7 + b"]" * 7, max_depth=5)


def test_only_json_is_written() -> None:
    """NaN and foreign types are never written."""
    for value in (Decimal("NaN"), Decimal("Infinity"), object(), {"a": "\ud800"}):
        with pytest.raises(InvalidInput):
            json_door.dumps(value)  # type: ignore[arg-type]
    assert json_door.dumps({"a": "NaN", "b": "Đ"}) == '{"a":"NaN","b":"Đ"}'.encode()
    assert json_door.dumps({"a": Decimal("1.50")}, pretty=True) == b'{\n  "a": 1.50\n}'


BIDI = "".join(map(chr, [0, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
_text = st.text(st.characters(codec="utf-8", exclude_characters=BIDI))
_number = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | _number | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=20,
)


@given(_json)
@settings(max_examples=100, deadline=None)
def test_written_json_is_read_back_the_same(value: object) -> None:
    """loads ∘ dumps is the identity, digits included."""
    written = json_door.dumps(value)  # type: ignore[arg-type]
    again = json_door.loads(written)
    assert again == value
    assert json_door.dumps(again) == written
    assert json_door.loads(json_door.dumps(value, pretty=True)) == value  # type: ignore[arg-type]
