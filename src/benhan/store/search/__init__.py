"""Search: parse, plan, SQL by parameter type, page, includes.

Understood: every search parameter of FHIR R4 with an expression (token, string, reference, date, number, quantity, uri,
composite), ``_id``, ``_lastUpdated``, ``_text``, ``_content``; not ``Location.near`` and ``_query``, which are reported.
Modifiers ``:missing``, ``:exact``, ``:contains``, ``:not``, ``:text``, ``:in``, ``:not-in``, ``:above``, ``:below``,
``:of-type``, ``:identifier``, ``:Type``; chains and ``_has``, nested up to five; ``_include`` and ``_revinclude`` with
``:iterate`` and ``*``; ``_sort`` by every date, number, quantity, string and uri parameter, ``_id``, ``_lastUpdated``;
``_count`` (at most 1000), ``_cursor``, ``_total``, ``_summary=count``, ``_compartment=Patient/id``.
Unknown parameters are listed, an unknown modifier is refused. Without ``_sort`` the order is stable but says nothing.

What a chain passes through, what refers, what is included, and what is counted is within the policy's scope and
row-level security as what is found.

Modules: ``ask`` (tree of conditions) · ``parse`` · ``plan`` (tree → SQL) · ``token``, ``string``, ``date``, ``number``,
``reference``, ``composite`` (leaves) · ``codes`` (value sets, hierarchies) · ``sieve`` (what has to be looked at) ·
``page`` (order and cursor) · ``includes`` · ``run``.
"""

from benhan.store.search.run import export_rows, run_count, run_search

__all__ = ["export_rows", "run_count", "run_search"]
