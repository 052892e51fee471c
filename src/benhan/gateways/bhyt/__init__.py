"""Health insurance (BHYT): claim packages, the portal, its simulator, and intake of packages of other software.

Face::

    register_jobs() -> None      outbox topics ``bhyt.submit`` {encounter, ma_lk}, ``bhyt.card-check`` {encounter},
                                 ``bhyt.check-in`` {encounter, khoa} (written by records.charge with the first line)
    await submit_waiting(store, tenant) -> int               claims made while no portal was set
    await ingest(repo, raw, source_name) -> IngestResult(status, ma_lk, reason, warnings, written, code)
    async for StreamResult(number, result) in ingest_stream(repo, chunks, source_name, *, sender=None)     many packages
    settled_files(folder, now, wait) -> list[Path] ; await read_watched_file(repo, path, *, sender=None) -> FileResult(name,
          state, counts, results)     a watched folder: each package has its line in a result file
    await statement(repo, encounter_id) -> Statement(head, groups, sums)     bảng kê chi phí, from the package
    read_icd_list(csv or xlsx, on) -> IcdImport(entries, new, retitled, dropped, marked) ; keep_icd_list(folder, entries,
          valid_from) ; drop_icd_list(folder) ; use_icd_list(folder)
    await quarantined(repo) -> list[Quarantined(sha256, at, source_name, ma_lk, code, reason)]
    await replay(repo, sha256) -> IngestResult                  a quarantined package read again
    await facts_from_record(repo, encounter_id) -> ClaimFacts ; build_claim(facts) -> Package
    check(package, on=None, gate="send", own=()) -> list[Finding(severity, code, place, text, rule; table, line, field)]
    await desk(repo, month, state, khoa) -> Desk(rows, sums, by_khoa, by_day, by_month) ; await claim_row(repo, ma_lk)
    await note_line(repo, ma_lk, place, state, amount, reason) ; await line_states(repo, ma_lk)
    await reconcile(repo, month, read_portal_list(csv)) -> Reconciliation
    await save_rule(repo, yaml) ; set_rule_state ; own_rules ; try_rule(repo, rule, month) -> Trial ; one_rule(yaml)
    await judge_case(repo, encounter_id, gate=None) -> list[Finding]    the rules while the record is being made
    await let_pass(repo, row, rule, place, reason) ; await passes(repo, ma_lk)
    await checkins(repo, ma_lk) -> list[Checkin(khoa, code, answer, at)]
    slips(repo, encounter_id) -> list[Slip(id, table, values, at, by, version, complete)] ; slip_fields ; slip_choices
    await proposed_slip(repo, encounter_id, table, author) ; save_slip(…, complete=False) ; sign_slip ; withdraw_slip(…, id)
    write_package(package) -> bytes ; read_package(raw) -> Package (with ``leniencies``) ; read_packages(raw)
    to_fhir(package, source_name, recorded) -> Bundle ; from_fhir(bundle) -> Package ; dropped(bundle) -> list[str]
    create_simulator(state_dir=None) -> Starlette ; register_card(state_dir, card) -> None
    PortalClient(url, account, facility): check_card, send, ask ; portal_of(settings, facility)
    await check_card(settings, facility, card, name, birth) -> CardAnswer
    await look_up_card(repo, facility, patient_id, card) -> CardView(card, code, text, at, said, visits; good, away, use, level)
    await card_views(repo, patient_id) -> list[CardView] ; await cards_to_see(repo, since)     kept answers of the portal
"""

from benhan.gateways.bhyt.card import CardView, card_views, cards_to_see
from benhan.gateways.bhyt.card import look_up as look_up_card
from benhan.gateways.bhyt.card import result_title as treatment_result
from benhan.gateways.bhyt.check import Finding, check
from benhan.gateways.bhyt.checkin import Checkin, build_checkin, checkins
from benhan.gateways.bhyt.claim import (
    CardFacts,
    ClaimFacts,
    DrugLine,
    ProgressLine,
    ResultLine,
    ServiceLine,
    build_claim,
)
from benhan.gateways.bhyt.desk import (
    LINE_STATES,
    STATES,
    ClaimRow,
    Desk,
    LineState,
    Reconciliation,
    claim_row,
    desk,
    line_states,
    note_line,
    read_portal_list,
    reconcile,
)
from benhan.gateways.bhyt.from_fhir import dropped, from_fhir
from benhan.gateways.bhyt.gates import judge_case
from benhan.gateways.bhyt.icd_list import IcdImport, drop_icd_list, keep_icd_list, read_icd_list, use_icd_list
from benhan.gateways.bhyt.ingest import IngestResult, ingest, replay
from benhan.gateways.bhyt.jobs import TOPIC as SUBMIT_TOPIC
from benhan.gateways.bhyt.jobs import register_jobs, submit_waiting
from benhan.gateways.bhyt.own_rules import (
    OwnRule,
    Pass,
    Trial,
    let_pass,
    one_rule,
    own_rule,
    own_rules,
    passes,
    save_rule,
    set_rule_state,
    try_rule,
)
from benhan.gateways.bhyt.package import (
    Leniency,
    Package,
    Row,
    make_row,
    read_package,
    read_packages,
    write_package,
)
from benhan.gateways.bhyt.portal import Account, CardAnswer, PortalClient, Receipt, check_card, portal_of
from benhan.gateways.bhyt.quarantine import Quarantined, quarantined
from benhan.gateways.bhyt.record_facts import facts_from_record
from benhan.gateways.bhyt.rules import GATES, Rule, shipped_rules
from benhan.gateways.bhyt.schema import schema
from benhan.gateways.bhyt.simulator import create_simulator, register_card
from benhan.gateways.bhyt.slips import SINGLE as SINGLE_SLIPS
from benhan.gateways.bhyt.slips import SLIPS, Slip, save_slip, sign_slip, slips, withdraw_slip
from benhan.gateways.bhyt.slips import choices as slip_choices
from benhan.gateways.bhyt.slips import own_fields as slip_fields
from benhan.gateways.bhyt.slips import proposed as proposed_slip
from benhan.gateways.bhyt.statement import LAYOUT_CONFIRMED, Statement, statement, statement_of
from benhan.gateways.bhyt.stream import StreamResult, ingest_stream
from benhan.gateways.bhyt.tables import title_of
from benhan.gateways.bhyt.to_fhir import to_fhir
from benhan.gateways.bhyt.watch import FileResult
from benhan.gateways.bhyt.watch import read_file as read_watched_file
from benhan.gateways.bhyt.watch import settled as settled_files

__all__ = [
    "GATES",
    "LAYOUT_CONFIRMED",
    "LINE_STATES",
    "SINGLE_SLIPS",
    "SLIPS",
    "STATES",
    "SUBMIT_TOPIC",
    "Account",
    "CardAnswer",
    "CardFacts",
    "CardView",
    "Checkin",
    "ClaimFacts",
    "ClaimRow",
    "Desk",
    "DrugLine",
    "FileResult",
    "Finding",
    "IcdImport",
    "IngestResult",
    "Leniency",
    "LineState",
    "OwnRule",
    "Package",
    "Pass",
    "PortalClient",
    "ProgressLine",
    "Quarantined",
    "Receipt",
    "Reconciliation",
    "ResultLine",
    "Row",
    "Rule",
    "ServiceLine",
    "Slip",
    "Statement",
    "StreamResult",
    "Trial",
    "build_checkin",
    "build_claim",
    "card_views",
    "cards_to_see",
    "check",
    "check_card",
    "checkins",
    "claim_row",
    "create_simulator",
    "desk",
    "drop_icd_list",
    "dropped",
    "facts_from_record",
    "from_fhir",
    "ingest",
    "ingest_stream",
    "judge_case",
    "keep_icd_list",
    "let_pass",
    "line_states",
    "look_up_card",
    "make_row",
    "note_line",
    "one_rule",
    "own_rule",
    "own_rules",
    "passes",
    "portal_of",
    "proposed_slip",
    "quarantined",
    "read_icd_list",
    "read_package",
    "read_packages",
    "read_portal_list",
    "read_watched_file",
    "reconcile",
    "register_card",
    "register_jobs",
    "replay",
    "save_rule",
    "save_slip",
    "schema",
    "set_rule_state",
    "settled_files",
    "shipped_rules",
    "sign_slip",
    "slip_choices",
    "slip_fields",
    "slips",
    "statement",
    "statement_of",
    "submit_waiting",
    "title_of",
    "to_fhir",
    "treatment_result",
    "try_rule",
    "use_icd_list",
    "withdraw_slip",
    "write_package",
]
