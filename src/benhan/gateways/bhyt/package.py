"""A claim package: rows of the tables, and its envelope in XML, written strictly and read leniently.

Written: UTF-8 without BOM, all tags in their order, empty tags kept, each inner file in base64. Read: a BOM, a whole
package in base64, an inner file as nested XML or twice in base64, tags in another order, absent or in lower case; each
such deviation is recorded as a :class:`Leniency`. Tags that the decision does not know are kept behind the known ones.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from lxml import etree

from benhan.base import xml_door
from benhan.base.errors import BenhanError, InvalidInput
from benhan.gateways.bhyt.tables import Table, tables

#: what XML cannot carry, and the signs that turn the direction of text: they make a name read as another
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_BOM = b"\xef\xbb\xbf"
_CHECKIN_ROOT = "CHI_TIEU_TRANG_THAI_KCB"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: every known tag in order, then the unknown ones; ``line`` counts from 1."""

    table: str
    line: int
    values: Mapping[str, str]

    def get(self, name: str) -> str:
        """The text of a tag; empty when absent."""
        return self.values.get(name, "")

    @property
    def place(self) -> str:
        """Where this line stands, for messages."""
        return f"{self.table}/dòng {self.line}"


@dataclass(frozen=True, slots=True)
class Leniency:
    """A deviation of the sender that was read nevertheless."""

    code: str
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Package:
    """One đợt: ``rows`` per table; ``signature`` is the XML inside CHUKYDONVI, empty when unsigned."""

    facility: str
    made_on: str
    rows: Mapping[str, tuple[Row, ...]]
    signature: str = ""
    leniencies: tuple[Leniency, ...] = field(default=(), compare=False)

    def table(self, name: str) -> tuple[Row, ...]:
        """Lines of one table; empty when it was not sent."""
        return self.rows.get(name, ())

    @property
    def ma_lk(self) -> str:
        """The link code of the đợt, from XML1 (or XML0 of a check-in)."""
        head = self.table("XML1") or self.table("XML0")
        return head[0].get("MA_LK") if head else ""


def make_row(table: str, line: int, values: Mapping[str, str]) -> Row:
    """A row with all tags of ``table`` in order; tags unknown to the table are kept behind."""
    known = tables()[table].names()
    ordered = {name: values.get(name, "") for name in known}
    ordered.update({name: text for name, text in values.items() if name not in ordered})
    for name, text in ordered.items():
        if _CONTROL.search(text):
            ordered[name] = _CONTROL.sub("", text)
    return Row(table, line, ordered)


def write_table(name: str, rows: tuple[Row, ...]) -> bytes:
    """The inner file of one table."""
    table = tables()[name]
    root = etree.Element(table.path[0])
    parent: etree._Element = root
    for tag in table.path[1:]:
        parent = _sub(parent, tag)
    for row in rows:
        item = _sub(parent, table.item) if table.repeating else parent
        for tag, text in row.values.items():
            _sub(item, tag, text)
    return xml_door.serialize(root)


def _sub(parent: etree._Element, tag: str, text: str = "") -> etree._Element:
    child = parent.makeelement(tag)
    child.text = text or None
    parent.append(child)
    return child


def write_package(package: Package) -> bytes:
    """The whole envelope (GIAMDINHHS), or the check-in file when the package holds XML0."""
    if package.table("XML0"):
        root = xml_door.parse(write_table("XML0", package.table("XML0")))
        _sign(root, package.signature)
        return xml_door.serialize(root)
    root = etree.Element("GIAMDINHHS")
    _sub(_sub(root, "THONGTINDONVI"), "MACSKCB", package.facility)
    about = _sub(root, "THONGTINHOSO")
    _sub(about, "NGAYLAP", package.made_on)
    _sub(about, "SOLUONGHOSO", "1")
    case = _sub(_sub(about, "DANHSACHHOSO"), "HOSO")
    for name in tables():
        if package.table(name):
            inner = _sub(case, "FILEHOSO")
            _sub(inner, "LOAIHOSO", name)
            _sub(inner, "NOIDUNGFILE", base64.b64encode(write_table(name, package.table(name))).decode())
    _sign(root, package.signature)
    return xml_door.serialize(root)


def _sign(root: etree._Element, signature: str) -> None:
    place = _sub(root, "CHUKYDONVI")
    if signature.startswith("<"):
        place.append(xml_door.parse(signature.encode()))
    elif signature:
        place.text = signature


def read_package(raw: bytes) -> Package:
    """Read the one đợt of a package as real software writes it.

    Raises: ``InvalidInput`` bhyt.unreadable (and the codes of ``xml_door``), ``expression`` = table/line/tag.
    """
    packages = read_packages(raw)
    if len(packages) != 1:
        raise refused("gói", f"phải có đúng một HOSO, nhận được {len(packages)}")
    return packages[0]


def read_packages(raw: bytes) -> list[Package]:
    """Every đợt of a file: old software puts several HOSO into one. The signature covers all: only one đợt keeps it.

    Raises: as :func:`read_package`.
    """
    notes: list[Leniency] = []
    root = xml_door.parse(_outer(raw, notes))
    name = _tag(root, "gói", notes)
    if name == _CHECKIN_ROOT:
        rows = {"XML0": _read_table(root, tables()["XML0"], notes)}
        return [Package(rows["XML0"][0].get("MA_CSKCB"), "", rows, _signature(root), tuple(notes))]
    if name != "GIAMDINHHS":
        raise refused("gói", f"phần tử gốc phải là GIAMDINHHS, nhận được {name}")
    cases = [e for e in root.iter(etree.Element) if str(e.tag).upper() == "HOSO"]
    if not cases:
        raise refused("gói", "không có HOSO")
    if len(cases) > 1:
        notes.append(Leniency("several", "gói", f"Gói có {len(cases)} HOSO."))
    about = (_text_of(root, "MACSKCB"), _text_of(root, "NGAYLAP"), "" if len(cases) > 1 else _signature(root))
    return [_read_case(case, about, notes) for case in cases]


def _read_case(case: etree._Element, about: tuple[str, str, str], shared: list[Leniency]) -> Package:
    notes = list(shared)
    found: dict[str, tuple[Row, ...]] = {}
    for inner in _children(case):
        table, rows = _read_file(inner, notes)
        if table in found:
            raise refused(table, "bảng có hai lần trong gói")
        found[table] = rows
    if not found.get("XML1"):
        raise refused("XML1", "thiếu bảng XML1")
    facility, made_on, signature = about
    in_order = {name: found[name] for name in tables() if name in found}
    return Package(facility or found["XML1"][0].get("MA_CSKCB"), made_on, in_order, signature, tuple(notes))


def refused(place: str, reason: str) -> InvalidInput:
    """The refusal of a package with the place at fault (table/line/tag)."""
    return InvalidInput("bhyt.unreadable", f"{place}: {reason}.", expression=place, issue_type="structure")


def _outer(raw: bytes, notes: list[Leniency]) -> bytes:
    data = raw
    for _ in range(3):
        if data.startswith(_BOM):
            notes.append(Leniency("bom", "gói", "Có BOM ở đầu tệp."))
            data = data[len(_BOM) :]
        if data.lstrip()[:1] == b"<":
            return data.lstrip()
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data
        decoded = _base64(data)
        if decoded is None:
            break
        notes.append(Leniency("base64-whole", "gói", "Cả gói nằm trong base64."))
        data = decoded
    raise refused("gói", "không phải XML và không giải mã được base64")


def _base64(data: bytes) -> bytes | None:
    compact = b"".join(data.split())
    if not compact:
        return None
    try:
        return base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        return None


def _read_file(inner: etree._Element, notes: list[Leniency]) -> tuple[str, tuple[Row, ...]]:
    kind = _tag(inner, "gói", notes)
    if kind != "FILEHOSO":
        raise refused("gói/HOSO", f"phần tử lạ {kind}")
    name = _text_of(inner, "LOAIHOSO").upper()
    table = tables().get(name)
    if table is None or name == "XML0":
        raise refused("gói/LOAIHOSO", f"loại hồ sơ lạ “{name}”")
    content = next((e for e in _children(inner) if str(e.tag).upper() == "NOIDUNGFILE"), None)
    if content is None:
        raise refused(f"{name}/NOIDUNGFILE", "thiếu nội dung")
    nested = _children(content)
    if nested:
        notes.append(Leniency("nested", name, "Nội dung là XML lồng, không phải base64."))
        return name, _read_table(nested[0], table, notes)
    try:
        root = xml_door.parse(_inner_bytes(name, content.text or "", notes))
    except BenhanError as error:
        raise refused(f"{name}/NOIDUNGFILE", error.text.rstrip(".")) from error
    return name, _read_table(root, table, notes)


def _inner_bytes(name: str, text: str, notes: list[Leniency]) -> bytes:
    data = text.strip().encode()
    if data.startswith(b"<"):
        notes.append(Leniency("nested", name, "Nội dung là XML đã thoát ký tự, không phải base64."))
        return data
    if any(c in data for c in b" \t\r\n"):
        notes.append(Leniency("base64-lines", name, "base64 có xuống dòng."))
    for turn in range(2):
        decoded = _base64(data)
        if decoded is None:
            raise refused(f"{name}/NOIDUNGFILE", "không giải mã được base64")
        if turn:
            notes.append(Leniency("base64-twice", name, "Nội dung nằm trong hai lớp base64."))
        if decoded.startswith(_BOM):
            notes.append(Leniency("bom", name, "Có BOM ở đầu tệp con."))
            decoded = decoded[len(_BOM) :]
        if decoded.lstrip()[:1] == b"<" or decoded.startswith((b"\xff\xfe", b"\xfe\xff")):
            return decoded.lstrip()
        data = decoded
    raise refused(f"{name}/NOIDUNGFILE", "nội dung sau khi giải mã không phải XML")


def _read_table(root: etree._Element, table: Table, notes: list[Leniency]) -> tuple[Row, ...]:
    name = _tag(root, table.name, notes)
    if name != table.path[0]:
        raise refused(table.name, f"phần tử gốc phải là {table.path[0]}, nhận được {name}")
    if not table.repeating:
        return (_read_row(root, table, 1, notes),)
    items = [e for e in root.iter(etree.Element) if str(e.tag).upper() == table.item]
    if not items:
        raise refused(table.name, f"không có phần tử {table.item}")
    return tuple(_read_row(item, table, line, notes) for line, item in enumerate(items, 1))


def _read_row(item: etree._Element, table: Table, line: int, notes: list[Leniency]) -> Row:
    place = f"{table.name}/dòng {line}"
    known = table.name_set
    values: dict[str, str] = {}
    for child in item:
        tag = child.tag
        if not isinstance(tag, str):
            continue
        name = tag if tag in known else _tag(child, place, notes)
        if name in values:
            raise refused(f"{place}/{name}", "thẻ có hai lần")
        text = (child.text or "") if len(child) == 0 else _mixed(child, f"{place}/{name}")
        values[name] = "" if text.isspace() else text
    clean = _CONTROL.search("".join(values.values())) is None
    if clean and tuple(values) == table.names():
        return Row(table.name, line, values)
    notes += [
        Leniency("character", f"{place}/{name}", "Bỏ ký tự điều khiển hoặc đảo chiều chữ.")
        for name, text in values.items()
        if _CONTROL.search(text)
    ]
    if tuple(values) != table.names():
        _note_shape(table, place, values, notes)
    return make_row(table.name, line, values)


def _mixed(element: etree._Element, place: str) -> str:
    """Text around comments and processing instructions; elements inside are refused."""
    if _children(element):
        raise refused(place, "thẻ phải là chữ, không chứa thẻ khác")
    return "".join(str(part) for part in element.itertext(etree.Element))


def _note_shape(table: Table, place: str, values: Mapping[str, str], notes: list[Leniency]) -> None:
    names = table.names()
    missing = [n for n in names if n not in values]
    if missing:
        notes.append(Leniency("missing", place, "Thiếu thẻ: " + ", ".join(missing)))
    extra = [n for n in values if n not in names]
    if extra:
        notes.append(Leniency("extra", place, "Thẻ ngoài quyết định: " + ", ".join(extra)))
    positions = [names.index(n) for n in values if n in names]
    if positions != sorted(positions):
        notes.append(Leniency("order", place, "Thẻ không theo thứ tự của quyết định."))


def _children(element: etree._Element) -> list[etree._Element]:
    return [child for child in element if isinstance(child.tag, str)]


def _tag(element: etree._Element, place: str, notes: list[Leniency]) -> str:
    name = etree.QName(element).localname
    if name != name.upper():
        notes.append(Leniency("case", place, f"Tên thẻ viết thường: {name}."))
    return name.upper()


def _text_of(root: etree._Element, name: str) -> str:
    for element in root.iter(etree.Element):
        if str(element.tag).upper() == name:
            return (element.text or "").strip()
    return ""


def _signature(root: etree._Element) -> str:
    for element in _children(root):
        if str(element.tag).upper() == "CHUKYDONVI":
            inner = _children(element)
            if inner:
                return etree.tostring(inner[0], encoding="unicode", with_tail=False)
            return (element.text or "").strip()
    return ""


def today_text(on: date) -> str:
    """``yyyymmdd``."""
    return on.strftime("%Y%m%d")
