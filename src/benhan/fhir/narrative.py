"""Narrative: ``text.div`` must be safe XHTML.

FHIR R4 admits the elements of chapters 7–11 and 15 of HTML 4.0 without forms, scripts, frames and objects.
What is not on the list is refused, so that a page may show a stored narrative as it is. Images may only be
local (``#id``) or ``data:image``, links ``http(s)``, ``mailto``, ``tel``, local or relative.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lxml import etree

from benhan.base import xml_door
from benhan.base.errors import BenhanError

XHTML = "http://www.w3.org/1999/xhtml"
_TAGS = frozenset(
    {
        "a", "abbr", "acronym", "address", "b", "bdo", "big", "blockquote", "br", "caption", "cite",
        "code", "col", "colgroup", "dd", "del", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4",
        "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "ol", "p", "pre", "q", "s", "samp", "small",
        "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr",
        "tt", "u", "ul", "var",
    }
)  # fmt: skip
_ATTRIBUTES = frozenset(
    {
        "abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellhalign", "cellpadding",
        "cellspacing", "cellvalign", "char", "charoff", "charset", "cite", "class", "colspan",
        "compact", "coords", "dir", "frame", "headers", "height", "href", "hreflang", "hspace", "id",
        "lang", "longdesc", "name", "noshade", "nowrap", "rel", "rev", "rowspan", "rules", "scope",
        "shape", "size", "span", "src", "start", "style", "summary", "tabindex", "title", "type",
        "valign", "value", "vspace", "width",
    }
)  # fmt: skip
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_LINK = re.compile(r"^(?:https?:|mailto:|tel:|#|(?![/\\]{2})[^:]*$)", re.IGNORECASE)
_IMAGE = re.compile(r"^(?:#|data:image/(?:png|jpeg|gif);base64,|[^:/][^:]*$)", re.IGNORECASE)
_BAD_STYLE = re.compile(
    r"url\s*\(|expression\s*\(|javascript:|@import|behaviou?r\s*:|-moz-binding|\\", re.IGNORECASE
)


@lru_cache(maxsize=256)
def faults(div: str) -> tuple[str, ...]:
    """What is unsafe or wrong in a narrative, in Vietnamese; empty when it may be shown."""
    try:
        root = xml_door.parse(with_characters(div).encode("utf-8", "surrogatepass"), max_depth=60)
    except BenhanError as error:
        return (f"Bản tóm tắt không đọc được: {error.text}",)
    if root.tag != f"{{{XHTML}}}div":
        return ("Bản tóm tắt phải là một thẻ div của XHTML.",)
    out = [fault for element in root.iter() for fault in _element(element)]
    if not out and not "".join(root.itertext()).strip() and root.find(f".//{{{XHTML}}}img") is None:
        out.append("Bản tóm tắt không có nội dung.")
    return tuple(dict.fromkeys(out))


def with_characters(div: str) -> str:
    """HTML's own names for characters, which XML does not know."""
    return div.replace("&nbsp;", "\u00a0").replace("&copy;", "©").replace("&reg;", "®")


def _element(element: etree._Element) -> list[str]:
    if not isinstance(element.tag, str):
        return [] if isinstance(element, etree._Comment) else ["Bản tóm tắt có chỉ thị xử lý."]
    name = etree.QName(element)
    if name.namespace != XHTML or name.localname not in _TAGS:
        return [f"Bản tóm tắt có thẻ bị cấm: {name.localname[:20]}."]
    return [fault for key, value in element.attrib.items() for fault in _attribute(str(key), str(value))]


def _attribute(key: str, value: str) -> list[str]:
    if key != _XML_LANG and key not in _ATTRIBUTES:
        return [f"Bản tóm tắt có thuộc tính bị cấm: {key[:20]}."]
    bare = re.sub(r"[\x00-\x20]", "", value)
    if key in ("href", "cite", "longdesc") and not _LINK.match(bare):
        return ["Bản tóm tắt có liên kết bị cấm."]
    if key == "src" and not _IMAGE.match(bare):
        return ["Bản tóm tắt có ảnh từ nơi khác."]
    if key == "style" and _BAD_STYLE.search(value):
        return ["Bản tóm tắt có kiểu trình bày bị cấm."]
    return []
