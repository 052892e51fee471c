"""Search: parse, plan, SQL by parameter type.

Understood: all token, string, reference, date, number, quantity and uri parameters of the type (composite and
``combo-*`` are not), ``_id``, ``_lastUpdated``, ``_sort`` (date and string parameters, ``_id``, ``_lastUpdated``),
``_count`` (at most 1000), ``_cursor``, ``_include``, ``_revinclude`` (one level), chains of one level,
``_total``, ``_summary=count``; modifiers ``:missing``, ``:not``, ``:exact``, ``:contains``, ``:identifier``, ``:Type``.
Unknown parameters are ignored and listed; an unknown modifier is refused. Without ``_sort`` the order is stable but
says nothing.
"""

from benhan.store.search.run import export_rows, run_count, run_search

__all__ = ["export_rows", "run_count", "run_search"]
