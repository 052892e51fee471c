"""The signing agent: a small program on the doctor's computer that lets one web site sign with the USB token in it.

Stands alone (standard library and ``python-pkcs11``; nothing of ``benhan``). It listens on 127.0.0.1 only, answers pages of the
configured origins only, and signs what the page sends with the PIN typed for this act; it keeps no PIN and no key.
"""

from benhan_agent.server import main

__all__ = ["main"]
