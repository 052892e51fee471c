"""Read a YAML file and remember the line of every key, so that a fault names its place.

Keys become ``str``; dates become ISO text; a key given twice is a fault. Nothing but plain data is
constructed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from benhan.base.errors import InvalidInput, Issue

# libyaml is ten times as fast and constructs the same plain data.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PathKey = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlFile:
    """Parsed content and the line (1-based) of each path in it."""

    path: Path
    data: Any
    lines: dict[PathKey, int]

    def line(self, at: PathKey) -> int:
        """Line of the path, or of its nearest parent that stands in the file."""
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at, 1)


def fault(file: YamlFile, at: PathKey, text: str) -> Issue:
    """A fault at one place: ``<file>:<line>: <key path>: <text>``."""
    key = ".".join(str(part) for part in at) or "(tệp)"
    return Issue("forms.bad-file", f"{file.path.name}:{file.line(at)}: {key}: {text}", expression=key)


def read_yaml(path: Path) -> YamlFile:
    """Read one file.

    Raises: ``InvalidInput`` forms.bad-file with file and line.
    """
    loader = _LOADER(path.read_text(encoding="utf-8"))
    lines: dict[PathKey, int] = {}
    try:
        node = loader.get_single_node()
        data = None if node is None else _build(loader, node, (), lines, path)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(
            "forms.bad-file", f"{path.name}:{line}: YAML sai cú pháp: {error.problem}."
        ) from None
    finally:
        loader.dispose()
    return YamlFile(path, data, lines)


def _build(
    loader: yaml.SafeLoader, node: yaml.Node, at: PathKey, lines: dict[PathKey, int], path: Path
) -> Any:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in out:
                line = key_node.start_mark.line + 1
                raise InvalidInput("forms.bad-file", f"{path.name}:{line}: khóa '{key}' ghi hai lần.")
            out[key] = _build(loader, value_node, (*at, key), lines, path)
            lines[(*at, key)] = key_node.start_mark.line + 1
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, child, (*at, i), lines, path) for i, child in enumerate(node.value)]
    value = loader.construct_object(node)
    return value.isoformat() if isinstance(value, date) else value
