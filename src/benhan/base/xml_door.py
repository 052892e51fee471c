"""The only door for XML: ``lxml`` with everything that reaches outside turned off, and limits.

Refused before parsing: any DOCTYPE, and any encoding that is not UTF-8 or honestly declared UTF-16 (byte
order mark and declaration must agree). Refused after: XInclude, too deep, too many attributes on one element,
an attribute that points out of the document's own folder (``../``, ``file:``). Processing instructions are
kept as nodes and never obeyed. No entity but the five of XML and character references is ever expanded.

A signed document is read by :func:`by_id`: an id that two elements claim is refused (signature wrapping).
"""

from __future__ import annotations

import re

from lxml import etree

from benhan.base.errors import InvalidInput, TooLarge

_DECLARATION = re.compile(r"""^\ufeff?\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_XINCLUDE = "{http://www.w3.org/2001/XInclude}"
_OUTSIDE = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^\s*file:", re.IGNORECASE)
#: all that more than the depth is asked of: elements with attributes, and those of XInclude
_SUSPECT = etree.XPath("//*[@* or namespace-uri()='http://www.w3.org/2001/XInclude']")
_LIBXML_LIMIT = 9_000_000
_ID_NAMES = ("Id", "ID", "id", "{http://www.w3.org/XML/1998/namespace}id")


def parse(
    raw: bytes,
    *,
    max_bytes: int = 50_000_000,
    max_depth: int = 200,
    max_attributes: int = 200,
    attributes_are_text: bool = False,
) -> etree._Element:
    """Read one XML document and give its root.

    ``attributes_are_text``: the format writes people's words in attributes (FHIR), so ``../`` in one is no path;
    the caller opens nothing that an attribute names.

    Raises: ``TooLarge`` (xml.too-large, xml.too-deep, xml.too-many-attributes); ``InvalidInput``
            (xml.malformed, xml.encoding, xml.doctype, xml.xinclude, xml.outside-reference).
    """
    if len(raw) > max_bytes:
        raise TooLarge("xml.too-large", f"Tài liệu XML lớn hơn {max_bytes} byte.")
    text = _text(raw)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InvalidInput("xml.doctype", "Tài liệu XML không được có DOCTYPE hay thực thể.")
    root = _parse(raw, large=len(raw) > _LIBXML_LIMIT)
    _check(root, max_depth, max_attributes, None if attributes_are_text else _OUTSIDE)
    return root


def serialize(element: etree._Element) -> bytes:
    """UTF-8 with declaration, as it stands: no indenting, nothing reordered."""
    return etree.tostring(element, encoding="UTF-8", xml_declaration=True)


def canonical(element: etree._Element, *, exclusive: bool = True) -> bytes:
    """Canonical XML (exclusive 1.0, without comments), the form that signatures cover."""
    return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=False)


def by_id(root: etree._Element, value: str) -> etree._Element:
    """The one element whose Id is ``value``; raises ``InvalidInput`` (xml.id-absent, xml.id-ambiguous)."""
    found = [e for e in root.iter(etree.Element) if any(e.get(name) == value for name in _ID_NAMES)]
    if not found:
        raise InvalidInput("xml.id-absent", "Không có phần tử mang mã định danh được ký.")
    if len(found) > 1:
        raise InvalidInput("xml.id-ambiguous", "Hai phần tử trùng mã định danh: chữ ký không có giá trị.")
    return found[0]


def _text(raw: bytes) -> str:
    """The characters, decoded as declared; every other encoding is refused."""
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if utf16 else "utf-8")
    except UnicodeDecodeError as error:
        raise _encoding() from error
    declared = _DECLARATION.match(text[:400])
    name = declared.group(1).upper() if declared else "UTF-8"
    honest = name == "UTF-16" if utf16 else name in ("UTF-8", "US-ASCII", "ASCII")
    if not honest or "\x00" in text:
        raise _encoding()
    return text


def _encoding() -> InvalidInput:
    return InvalidInput(
        "xml.encoding",
        "Bảng mã của tài liệu XML phải là UTF-8 (hoặc UTF-16 khai báo đúng).",
        issue_type="structure",
    )


def _parse(raw: bytes, *, large: bool) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=large,
        recover=False,
    )
    try:
        return etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        message = error.msg or "malformed"
        if "depth" in message.lower():
            raise TooLarge("xml.too-deep", "Tài liệu XML lồng nhau quá sâu.") from error
        raise InvalidInput(
            "xml.malformed",
            f"Tài liệu XML sai cú pháp ở dòng {error.lineno}.",
            diagnostics=f"line {error.lineno}, column {error.offset}, libxml2 code {error.code}",
            issue_type="structure",
        ) from None


def _check(
    root: etree._Element, max_depth: int, max_attributes: int, outside: re.Pattern[str] | None
) -> None:
    level = [root]
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            raise TooLarge("xml.too-deep", f"Tài liệu XML lồng nhau sâu hơn {max_depth} tầng.")
        level = [child for element in level for child in element]
    for element in _SUSPECT(root):
        _check_element(element, max_attributes, outside)


def _check_element(element: etree._Element, max_attributes: int, outside: re.Pattern[str] | None) -> None:
    tag = element.tag
    if isinstance(tag, str) and tag.startswith(_XINCLUDE):
        raise InvalidInput("xml.xinclude", "Tài liệu XML không được dùng XInclude.", issue_type="structure")
    attributes = element.attrib
    if len(attributes) > max_attributes:
        raise TooLarge("xml.too-many-attributes", f"Một phần tử có hơn {max_attributes} thuộc tính.")
    if outside is None:
        return
    for value in attributes.values():
        if outside.search(str(value)):
            raise InvalidInput(
                "xml.outside-reference", "Thuộc tính trỏ ra ngoài tài liệu.", issue_type="structure"
            )
