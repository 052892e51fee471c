"""Sharing between facilities and the hub: IHE MHD documents, rights, disclosures, status of records.

Hub side: `receive` (ITI-65), `find_lists` (ITI-66), `find` (ITI-67), `retrieve` (ITI-68), `summary` (IPS), `cross_reference`
and `feed` (PIXm: ITI-83, ITI-104), `grant`, `disclosures_for`, `take_report`, `counts`, `records_of`. Facility side:
`HubClient`, `Requester`, `register_jobs` (outbox topics `exchange.provide`, and the periodic `synchronise`),
`province_history`, `province_document`, `ask_right`.

The end of a record (`ending`): facility topic `exchange.destroy`, `ending_state`; hub by `take` and `receive`.

Signed envelopes (`engine` is the pure state machine): facility `enqueue`, `drain`, `send_due`, `queue`, `reconcile`,
`comparisons`; hub `open_envelope`, `take`, `manifest`, `quarantined`, `replay_quarantined`.

Referrals (`referral_chain` is the pure table of states): facility `refer`, `act`, `fetch_referrals`, `referrals`,
`referral_steps`, `referral_papers`; hub `referral_feed`, steps come in by `take` and `receive`.
"""

from benhan.exchange.client import HubClient, Requester
from benhan.exchange.cross_reference import cross_reference
from benhan.exchange.disclosures import apply_disclosures, cursor_of, disclosures_for, move_cursor
from benhan.exchange.engine import LANES, Envelope, Message
from benhan.exchange.facility import (
    HUB,
    ask_right,
    client_file,
    ending_state,
    hub_client,
    identifier_of,
    keep_client,
    province_document,
    province_history,
    province_summary,
    reconcile,
    register_jobs,
    send_due,
    synchronise,
)
from benhan.exchange.find import find, find_lists, retrieve
from benhan.exchange.identity_feed import feed
from benhan.exchange.inbox import Received, facility_urn, receive
from benhan.exchange.incoming import (
    KIND as ENVELOPE_KIND,
)
from benhan.exchange.incoming import (
    Quarantined,
    Taken,
    answer_json,
    manifest,
    open_envelope,
    quarantined,
    replay_quarantined,
    take,
)
from benhan.exchange.mhd import Document, Submission, provide_bundle, read_provide
from benhan.exchange.outgoing import (
    Comparison,
    Queued,
    Reply,
    compare_day,
    comparisons,
    drain,
    enqueue,
    queue,
    queue_counts,
    state_of,
)
from benhan.exchange.referral_chain import possible
from benhan.exchange.referrals import (
    Done,
    Referral,
    act,
    apply_referrals,
    fetch_referrals,
    referral,
    referral_feed,
    referral_steps,
    referrals,
)
from benhan.exchange.referring import refer, referral_paper, referral_papers, signed_slips
from benhan.exchange.rights import PURPOSES, Right, grant, person_of, right_of
from benhan.exchange.status import FacilityCounts, RecordStatus, counts, read_report, records_of, take_report
from benhan.exchange.summary import summary

__all__ = [
    "ENVELOPE_KIND",
    "HUB",
    "LANES",
    "PURPOSES",
    "Comparison",
    "Document",
    "Done",
    "Envelope",
    "FacilityCounts",
    "HubClient",
    "Message",
    "Quarantined",
    "Queued",
    "Received",
    "RecordStatus",
    "Referral",
    "Reply",
    "Requester",
    "Right",
    "Submission",
    "Taken",
    "act",
    "answer_json",
    "apply_disclosures",
    "apply_referrals",
    "ask_right",
    "client_file",
    "compare_day",
    "comparisons",
    "counts",
    "cross_reference",
    "cursor_of",
    "disclosures_for",
    "drain",
    "ending_state",
    "enqueue",
    "facility_urn",
    "feed",
    "fetch_referrals",
    "find",
    "find_lists",
    "grant",
    "hub_client",
    "identifier_of",
    "keep_client",
    "manifest",
    "move_cursor",
    "open_envelope",
    "person_of",
    "possible",
    "provide_bundle",
    "province_document",
    "province_history",
    "province_summary",
    "quarantined",
    "queue",
    "queue_counts",
    "read_provide",
    "read_report",
    "receive",
    "reconcile",
    "records_of",
    "refer",
    "referral",
    "referral_feed",
    "referral_paper",
    "referral_papers",
    "referral_steps",
    "referrals",
    "register_jobs",
    "replay_quarantined",
    "retrieve",
    "right_of",
    "send_due",
    "signed_slips",
    "state_of",
    "summary",
    "synchronise",
    "take",
    "take_report",
]
