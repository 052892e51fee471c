"""Sharing between facilities and the hub: IHE MHD documents, rights, disclosures, status of records.

Hub side: `receive` (ITI-65), `find` (ITI-67), `retrieve` (ITI-68), `grant`, `disclosures_for`, `take_report`,
`counts`, `records_of`. Facility side: `HubClient`, `Requester`, `register_jobs` (outbox topics `exchange.provide`,
and the periodic `synchronise`), `province_history`, `province_document`, `ask_right`.
"""

from benhan.exchange.client import HubClient, Requester
from benhan.exchange.disclosures import apply_disclosures, cursor_of, disclosures_for, move_cursor
from benhan.exchange.facility import (
    ask_right,
    client_file,
    hub_client,
    identifier_of,
    keep_client,
    province_document,
    province_history,
    register_jobs,
    synchronise,
)
from benhan.exchange.find import find, retrieve
from benhan.exchange.inbox import Received, facility_urn, receive
from benhan.exchange.mhd import Document, Submission, provide_bundle, read_provide
from benhan.exchange.rights import Right, grant, person_of, right_of
from benhan.exchange.status import FacilityCounts, RecordStatus, counts, read_report, records_of, take_report

__all__ = [
    "Document",
    "FacilityCounts",
    "HubClient",
    "Received",
    "RecordStatus",
    "Requester",
    "Right",
    "Submission",
    "apply_disclosures",
    "ask_right",
    "client_file",
    "counts",
    "cursor_of",
    "disclosures_for",
    "facility_urn",
    "find",
    "grant",
    "hub_client",
    "identifier_of",
    "keep_client",
    "move_cursor",
    "person_of",
    "provide_bundle",
    "province_document",
    "province_history",
    "read_provide",
    "read_report",
    "receive",
    "records_of",
    "register_jobs",
    "retrieve",
    "right_of",
    "synchronise",
    "take_report",
]
