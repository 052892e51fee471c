"""SQL on FHIR v2: ViewDefinitions over the store, as rows for CSV, Parquet or a table. See ``docs/decisions/0019``.

Face::

    read_view(definition) -> View          compiled and checked; raises InvalidInput (view.*), all faults at once
    View.columns                           names with FHIR types, in order
    View.rows(resource) -> list[Row]       rows of one resource (a list of values, in the order of the columns)
    stream(repo, view) -> AsyncIterator[Row]  over the store, under the repository's policy, audited as an export
    write_csv(path, view, rows) / write_parquet(path, view, rows) -> int   written as they come, in bounded memory
    write_table(store, tenant, name, view, rows) -> int   replaces the rows of a tenant in the table views.<name>

Supported: ``column`` (with ``collection``), nested ``select``, ``forEach``, ``forEachOrNull``, ``repeat``, ``unionAll``,
``where``, ``constant``, ``%rowIndex``; functions of the project's FHIRPath with ``getResourceKey()``,
``getReferenceKey([type])`` and ``join()``. Not: ``lowBoundary()``, ``highBoundary()`` (refused when the view is read).
"""

from benhan.views.definition import Column, View, read_view
from benhan.views.output import write_csv, write_parquet
from benhan.views.running import stream
from benhan.views.table import write_table

__all__ = ["Column", "View", "read_view", "stream", "write_csv", "write_parquet", "write_table"]
