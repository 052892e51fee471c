"""Text typed into the form of one act (a line of a sheet, an order), kept until the act is done.

A paper's draft lies over the paper (`record`); these lie over nothing, so they are only shown again in their form.
Patches come through `autosave`; whatever does the act drops them in its own transaction.
"""

from __future__ import annotations

from benhan.store import Repository
from benhan.web.frame import Visit

LINE, DRUGS, LABS = "line", "drugs", "labs"


def key(what: str, subject: str) -> str:
    """Key of such a draft: what is written (`LINE`, `DRUGS`, `LABS`), and the sheet or đợt it is written in."""
    return f"{what}/{subject}"


async def kept(visit: Visit, what: str, subject: str) -> dict[str, str]:
    """Field → text that this author typed and has not sent off."""
    return {k: str(v) for k, v in (await visit.store.drafts.get(visit.repo, key(what, subject))).items()}


async def drop(tx: Repository, what: str, subject: str) -> None:
    """The act is done: nothing is left to write."""
    await tx.store.drafts.discard(tx, key(what, subject))
