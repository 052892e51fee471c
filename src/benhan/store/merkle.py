"""Merkle tree hashing of RFC 9162 (section 2.1): leaves ``00 ‖ data``, nodes ``01 ‖ left ‖ right``; appendable. Pure."""

from __future__ import annotations

from hashlib import sha256

EMPTY = sha256(b"").digest()
_SIZE = 32


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """The frontier of a tree: roots of its perfect subtrees, the largest first. Enough to append and to give the root."""

    def __init__(self, size: int = 0, frontier: bytes = b"") -> None:
        self.size = size
        self._nodes = [frontier[i : i + _SIZE] for i in range(0, len(frontier), _SIZE)]
        if len(self._nodes) != size.bit_count():
            raise ValueError("frontier does not fit the size")

    @property
    def frontier(self) -> bytes:
        """The subtree roots, joined."""
        return b"".join(self._nodes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self._nodes.pop(), node)
            size >>= 1
        self._nodes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Root over all leaves so far."""
        if not self._nodes:
            return EMPTY
        root = self._nodes[-1]
        for node in reversed(self._nodes[:-1]):
            root = node_hash(node, root)
        return root
