"""Life of a record: admit, write, order, sign, discharge, close, seal, correct.

All functions are ``async``, take ``repo: Repository`` first (actor, tenant and policy are inside) and join
``repo.transaction()``: one act is one transaction. ``encounter_id`` is always the id of the *đợt* (the ``Encounter``
with the ``MA_LK``), never of a stay. ``authorize(permission, khoa)`` raises ``NotAllowed``; skins pass
``lambda p, k: access.require(signed_in, p, khoa=k)``, workers and demo pass ``records.everything_allowed``.
Codes of errors: ``records.*``. Types of arguments and answers are frozen dataclasses of ``records.types``.

Common types::

    Staff(reference="Practitioner/x", name, licence=None, khoa=None)
    SignWith(signer, staff: Staff, role, tsa=None, reason="")    role = role of the form's signer list
    Bed(room=None, bed=None, shared=False)                       bed like "H001"

Admission and stays (``admission``, ``stays``)::

    admit(repo, Admission(patient_id, happened, khoa, khoa_name, doctor: Staff, ma_loai_kcb="03", bed=None, reason="",
          direct_from="2", referred_by="2", referred_from="", referral_no="",
          time_of_illness=None, late_reason=None))
          -> Admitted(episode, encounter, stay: Stored, ma_lk, so_vao_vien)
    encounter_by_ma_lk(repo, ma_lk) -> Stored
    stays(repo, encounter_id) -> list[Stay(id, khoa, khoa_name, start, end, doctor, beds)]    oldest first
    current_stay(repo, encounter_id) -> Stay
    request_transfer(repo, encounter_id, to_khoa, to_khoa_name, happened, reason, by: Staff) -> Stored (Task)
    accept_transfer(repo, task_id, happened, doctor: Staff, bed: Bed) -> Stored (new stay Encounter)
    cancel_transfer(repo, task_id, reason, by: Staff) -> Stored
    move_bed(repo, encounter_id, bed: Bed, happened) -> Stored (stay)

    register_patient(repo, PersonInput) -> Stored (Patient with mã người bệnh)
    find_or_register_patient(repo, PersonInput) -> (Stored, created: bool) ; pending_transfers(repo, encounter_id) -> [Task]

Numbers (``numbering``)::

    take_number(repo, kind, *, event, khoa=None, on=None, subject=None) -> Number(kind, scope, seq, text)
    cancel_number(repo, kind, text, reason) ; lend_range(repo, kind, machine, size, *, khoa=None, on=None) -> Range
    record_lent(repo, range_id, seq, *, event, at, subject=None) -> Number ; return_range(repo, range_id)
    numbers_taken(repo, kind, *, scope=None, limit=100) -> list[NumberRow]
    kinds: ma_bn, ma_lk, so_vao_vien, so_benh_an, so_luu_tru, so_phieu, so_ra_vien, ma_y_te (catalogue/data/numbering.yaml)

Entitlement and charges (``entitlement``, ``charges``)::

    add_coverage(repo, encounter_id, CoverageInput(card, valid_from: date, valid_to: date|None, percent, ma_doituong=None,
          registered_at=None, verified_at=None, source="reception", starts: datetime|None=None, temporary=False)) -> Stored
    entitlement_line(repo, encounter_id) -> list[Entitlement] ; entitlement_on(repo, encounter_id, at) -> Entitlement | None
    fix_doituong(repo, encounter_id, ma_doituong) -> Stored                    at the end of the đợt
    withdraw_coverage(repo, encounter_id, coverage_id, reason) -> Stored      a card entered wrongly
    charge(repo, encounter_id, ChargeInput(system, code, name, quantity, happened, source: str|None, price=None,
          payer=None, khoa=None, doctor=None)) -> Stored (ChargeItem)
    reverse_charge(repo, charge_id, reason) -> Stored (negative ChargeItem)
    change_payer(repo, charge_id, payer, reason, *, other="") -> Stored (the line that stands; PAYERS, OTHER_SOURCES)
    recalculate(repo, encounter_id) -> int (lines renewed) ; charge_bed_days(repo, encounter_id) -> list[Stored]
    charge_lines(repo, encounter_id) -> list[ChargeLine(id, system, code, name, quantity, unit_price, amount, payer,
          percent, insurer_amount, patient_amount, coverage_id, happened, khoa, source, reverses)]
    account(repo, encounter_id) -> AccountTotals(total, insurer, patient, advances, due)
    add_advance(repo, encounter_id, amount, happened, note="") -> Stored
    payments(repo, encounter_id) -> list[Payment(amount, at, by, note)] ; settled_at(repo, encounter_id) -> datetime | None
    settle(repo, encounter_id, patient_pays, happened, *, authorize) -> Decimal ; unsettle(repo, encounter_id, reason, …)
    lock_charges(repo, encounter_id, *, authorize, reason="") ; unlock_charges(repo, encounter_id, *, authorize, reason)

Orders, results, drugs, vital signs (``orders``, ``results``, ``medication``, ``vitals``)::

    order_lab(repo, encounter_id, LabOrder(codes: tuple[str, ...], happened, doctor: Staff, note="", urgent=False,
          late_reason=None)) -> list[Stored]          one ServiceRequest per lab item, sharing a requisition number
    cancel_order(repo, order_id, reason) -> Stored ; orders(repo, encounter_id) -> list[Stored]
    enter_result(repo, order_id, ResultInput(value: Decimal|str, taken: datetime|None, performed: datetime, performer: Staff,
          machine=None, note="")) -> ResultEntered(report, observation: Stored)
    correct_result(repo, observation_id, ResultInput, reason) -> Stored
    result_series(repo, patient_id, code) -> list[Point(at, value, unit, low, high, observation_id, flag)]
    order_drug(repo, encounter_id, DrugOrder(code, dose: Decimal, unit, route, per_day, days, happened, doctor,
          note="", as_text=None, late_reason=None)) -> Stored (MedicationRequest)
    administer(repo, request_id, Administration(happened, quantity: Decimal, nurse: Staff, note="", late_reason=None)) -> Stored
    stop_drug(repo, request_id, reason, happened) -> Stored ; drug_orders(repo, encounter_id) -> list[Stored]
    record_vitals(repo, encounter_id, VitalSigns(happened, nurse: Staff, pulse, temperature, systolic, diastolic,
          breathing, spo2, weight, height (all Decimal|None), late_reason=None)) -> list[Stored] (Observation)
    vital_series(repo, patient_id, *, encounter_id=None) -> dict[str, list[Point]]   keys = VitalSigns field names

Papers (``papers``, ``paper_signing``, ``sign_batch``, ``signatures``)::

    open_record(repo, encounter_id, form_code, author: Staff, happened) -> OpenedRecord(composition, response, so_benh_an)
    open_paper(repo, encounter_id, form_code, author: Staff, happened, answers=None) -> Stored (QuestionnaireResponse)
    paper_answers(repo, response_id, version=None) -> dict[linkId, value]                    what the form holds now
    defaults(repo, encounter_id, form_code) -> dict[linkId, value]             facts that have another home, earlier papers
    proposals(repo, encounter_id, form) -> dict[linkId, Default]               the same, each with its origin
    save_form(repo, response_id, answers, author: Staff, *, reason=None, draft_key=None, late_reason=None) -> Stored
          one version; after the first signature ``reason`` is needed and the version is an amendment
    paper(repo, response_id) -> Paper(response: Stored, form_code, title, signatures, next_role, issued, number, document_id)
    papers(repo, encounter_id) -> list[Paper]
    ho_so_benh_an(repo, encounter_id) -> JsonObject ; to_json, to_xml, from_xml  export of Công văn 365, eleven groups
    print_record(repo, encounter_id, chosen=()) -> bytes                       cover, contents and papers, for printing
    print_paper(repo, response_id) -> bytes                                    signed PDF, else a fresh unsigned print
    show_paper(repo, response_id) -> Shown(response_id, version, sha256, boxes)    the frozen print: what-you-see hash
    shown_pdf(repo, response_id, sha256) -> bytes
    sign_paper(repo, response_id, SignWith, *, authorize, shown=None) -> Stored (Provenance)    over exactly what was shown
    begin_batch(repo, [Chosen(response_id, shown, role, is_entry)]) -> SignBatch ; sign_batch(repo, id) ; stopped_batches(repo)
    prepare_batch(repo, id, signing, *, authorize) -> [ToSign(seq, prepared)]    a key that is elsewhere: two phases
    finish_batch(repo, id, {seq: value}, signing, *, authorize) -> SignBatch
    prepared_of(repo, id) ; give_up_batch(repo, id)
    spoken_waiting(repo, *, doctor=None) -> [SpokenOrder] ; confirm_spoken(repo, order_id, SignWith, *, authorize)
    ask_hand(repo, response_id, role, shown, witness, *, authorize) -> (Hand, token)   a patient signs on a tablet (``by_hand``)
    draw_hand(store, token, png, *, name, relation, number, device) ; witness_hand(repo, id, SignWith, *, authorize) ; drop_hand
    claim_batch(repo, id) ; run_batch(repo, id, role -> SignWith, *, authorize) -> SignBatch     many papers, one PIN
    withdraw_signature(repo, response_id, staff: Staff, reason, *, authorize) -> Stored (Provenance)
    return_paper(repo, response_id, staff, reason, *, authorize) ; resend_paper(repo, response_id, staff, answer)
    delegate(repo, giver, taker, *, permission, khoa, forms, first, last, reason, authorize) -> id ; end_delegation(repo, id)
    delegations_to(repo, staff) -> list[Delegation] ; delegations_from(repo, staff)                 signing for another
    issue_discharge_paper(repo, encounter_id, *, author: Staff, answers=None) -> Stored (QuestionnaireResponse, unsigned)
    issue_paper(repo, response_id, *, seal: SignWith|None, authorize) -> IssuedPaper(number, document)  number at issue
    blob_of(document: JsonObject) -> sha256 of the PDF of a DocumentReference

Running sheets (``sheets``)::

    open_sheet(repo, encounter_id, form_code, author: Staff, happened) -> Stored ; sheets(repo, encounter_id) -> list[Stored]
    add_entry(repo, sheet_id, Entry(happened, progress="", orders="", author: Staff, extra={}, late_reason=None)) -> Stored
    sign_entry(repo, entry_id, SignWith, *, authorize) -> Stored (Provenance over the entry's exact bytes)
    sign_bytes(repo, stored, SignWith) -> Stored ; byte_signature(repo, stored) -> Stored|None    the same for other resources
    amend_entry(repo, entry_id, Entry, reason) -> Stored
    entries(repo, sheet_id) -> list[SheetEntry(id, version, happened, author, values, signed_by, signed_at, late_reason)]
    entry_proof(repo, entry_id) -> (exact bytes, CMS) ; content_of(repo, document) -> bytes of a DocumentReference
    print_sheet(repo, sheet_id) -> bytes ; end_sheet(repo, sheet_id, SignWith, *, authorize) -> Stored (DocumentReference)

Discharge and life cycle (``discharge``, ``lifecycle``, ``completeness``, ``sealing``)::

    discharge(repo, encounter_id, Discharge(happened, outcome, doctor: Staff, diagnosis, icd10, others=(), result=None,
          treatment="", advice="", moved_to=None, death_cause=None, late_reason=None), *, authorize) -> Stored (Encounter)
    obstacles(repo, encounter_id, act, target="") -> list[str]                what stands in the way, sentence by sentence
    ask_undo(repo, encounter_id, act, reason, *, target="", authorize) -> Request ; grant_undo(repo, request_id, *, authorize)
          act: cancel, transfer, discharge, patient (target: Patient id), paper (target: "<paper>><encounter>"), merge (target:
          the đợt that stays); UNDO_ACTS names them
    discharge_diagnoses(repo, encounter_id) -> list[DischargeDiagnosis(id, main, code, text)]
    recode(repo, encounter_id, condition_id, code, reason) -> Stored           another ICD-10 code, same words
    discharge_facts(encounter: JsonObject) -> dict[str, str]      outcome, form items, MA_LOAI_RV, KET_QUA_DTRI, icd10 …
    case(repo, encounter_id) -> Case(encounter_id, patient_id, composition_id, form_code, khoa, doctor, state, admitted_at,
          discharged_at, due_on, closed_at, legal_hold, financial_lock, so_benh_an, ma_lk)
    allowed_events(state) -> list[Transition]
    complete_record(repo, encounter_id, *, authorize) ; submit_record(repo, encounter_id, *, authorize)
    return_record(repo, encounter_id, faults: list[str], deadline: date, *, authorize)
    receive_record(repo, encounter_id, *, authorize) -> Case               takes số lưu trữ
    close_record(repo, encounter_id, seal: SignWith, *, authorize) -> Stored (DocumentReference of the container)
    start_closing(repo, encounter_id, *, authorize) -> Sealing ; finish_sealing(repo, Sealing, seal) -> Stored
    cancel_closing(repo, encounter_id, reason, *, authorize) -> Case ; open_sealings(repo) -> list[Sealing]
          close_record is both phases; the record is ``closing`` (refuses writes) while the signer takes its time
    ask(repo, encounter_id, kind, reason, *, authorize, detail=None) -> Request    kind: reopen, destroy, release, undo
    decide(repo, request_id, approved, *, authorize, note="") -> Request          by somebody else
    reopen_record(repo, request_id, *, authorize) -> Case ; archive_record(repo, encounter_id, *, authorize)
    mark_due(…), extend_record(…, reason): same shape
    set_legal_hold(repo, encounter_id, held: bool, reason, *, authorize)
    add_addendum(repo, encounter_id, Addendum(title, text, happened, author: Staff, reason, order_id=None, result=None),
          sign: SignWith, seal: SignWith, *, authorize) -> AddendumDone(response, provenance, container: Stored)
    events(repo, encounter_id) -> list[RecordEvent(event, from_state, to_state, at, actor, reason)]
    completeness(repo, encounter_id) -> list[Gap(code, text, who, form_code, response_id, field)]
    containers(repo, encounter_id) -> list[Stored] (DocumentReference, oldest first; the first one is never replaced)
    closed_record_guard: WriteGuard for ``Store.open(..., guards=[closed_record_guard])``

Giving away (``release``): requesters() ; may_have(requester, state) -> acts ; ask_release(repo, encounter_id, ReleaseInput,
    *, authorize) -> Request ; make_release(repo, request_id, *, authorize) -> Release ; releases ; release_file ;
    withdraw_release ; verify_code(store, code) -> CodeAnswer | None      for everybody, nothing of the patient

Paper records, scanned (``scans``, ``scan_signing``)::

    begin_scan(repo, ScanInput(patient_id, so_luu_tru, khoa, admitted, discharged, pages, decision, …), staff, *, authorize)
          -> Case (state ``scanned``) ; add_scan(repo, encounter_id, name, data, staff, *, authorize) -> ScanFile
    drop_scan(repo, encounter_id, document_id, reason, *, authorize) ; index_scan(repo, encounter_id, [IndexRow], *, authorize)
    check_scan(repo, encounter_id, *, authorize) -> Case (``received``, by a second person) ; rescan(repo, encounter_id, reason)
    sign_scan(repo, encounter_id, SignWith, *, authorize) -> ids    the conversion, each file and the index sheet
    scanned_record(repo, encounter_id) -> Scanned(case, encounter, patient, files, index) ; scanned_cases(repo) -> [Case]
    unlisted(file, index) -> pages of a file that no line of the index holds

End and care (``disposal``, ``archive``): propose_destruction(repo, encounter_id, reason, *, authorize) -> Request ;
    due_records(repo) -> list[DueRecord] ; refuse_destruction(repo, request_id, note, *, authorize) -> Request
    stopped_destructions(repo) ; destructions(repo) ; certificate_of(repo, encounter_id, *, authorize) -> bytes
    destroy_record(repo, request_id, seal, *, authorize) -> Destruction (certificate) ; scrub(repo) -> Scrub ; scrubs
    move_to_cold(repo, after) -> int ; cold_state(repo) ; cold_faults(repo) ; places(repo, encounter_id)   the cold place
Unread results (``unread``): unread_results(repo, khoa=None) -> Unread(rows, more) ; seen_by(repo, report_ids)
    acknowledge_result(repo, report_id, version, note="", *, authorize)     a critical one needs the note

Waiting (``waiting``): waiting_signatures(repo) ; void_signatures(repo) ; complete_waiting(repo, tsa) -> int
    time stamps and certificate states that come later; signatures whose certificate turned out to have been revoked
Proofs (``keeping``): look_at_proofs(repo) -> int ; at_risk(repo, within) -> [Proof] ; kept(repo) -> [Kept] ;
    renew_due(repo, tsa, roots) -> RenewalRun      a facility its records, the hub its copies

Reading (``binder``, ``timeline``, ``worklists``)::

    binder(repo, encounter_id) -> Binder(composition, case, parts: list[BinderPart(title, form_code, response_id, document_id,
          sha256, state, signatures, link)])
    timeline(repo, patient_id, *, limit=200) -> list[TimelineItem(at, kind, title, text, reference, encounter_id, author)]
    my_patients(repo, staff_reference=None, khoa=None) -> list[WorkPatient]
    papers_to_sign(repo, Reader(staff_reference, roles, may), *, khoa=None) -> list[WorkPaper]     whose turn: ``signers``
    late_signatures(repo, khoa=None) -> list[LateSignature] ; returned_papers(repo, staff_reference)
    records_owed(repo, khoa=None, *, on=None) -> list[WorkRecord]

Outbox topics: ``bhyt.submit`` {encounter, ma_lk} when the đợt is discharged and the discharge paper is fully signed (key
``ma_lk:version``); ``bhyt.check-in`` {encounter, khoa} with the first charge; ``bhyt.card-check`` {encounter} with a card
that was not looked up;
``exchange.provide`` {composition, encounter, container} on closing and on each addendum.

FHIR shapes: see ``docs/reference/glossary.md``. Stay = Encounter with ``partOf``; khoa in ``serviceType``; bed in
``location`` as logical reference (system ``urn:benhan:giuong``). State of the record: extension
``urn:benhan:record-state`` of the Composition. Late entry: extension ``urn:benhan:late-entry`` with the reason.
"""

from __future__ import annotations

from benhan.records.addenda import add_addendum, sign_addendum, start_addendum
from benhan.records.admission import (
    admit,
    encounter_by_ma_lk,
    find_or_register_patient,
    register_patient,
)
from benhan.records.archive import Scrub, scrub, scrubs
from benhan.records.binder import binder
from benhan.records.by_hand import (
    Hand,
    ask_hand,
    draw_hand,
    drop_hand,
    hand_by_token,
    hand_of,
    picture_of,
    witness_hand,
)
from benhan.records.cases import case, events, list_cases
from benhan.records.charges import (
    OTHER_SOURCES,
    PAYERS,
    account,
    add_advance,
    change_payer,
    charge,
    charge_bed_days,
    charge_lines,
    lock_charges,
    recalculate,
    reverse_charge,
    unlock_charges,
)
from benhan.records.cold import ColdFault, ColdState, cold_faults, cold_state, move_to_cold, places
from benhan.records.completeness import completeness
from benhan.records.contents import contents, document_bundle
from benhan.records.delegation import (
    DELEGABLE,
    Delegation,
    delegate,
    delegations_from,
    delegations_to,
    end_delegation,
)
from benhan.records.discharge import discharge, discharge_facts, submit_claim_when_ready
from benhan.records.disposal import (
    Destruction,
    DueRecord,
    certificate_of,
    destroy_record,
    destruction,
    destructions,
    due_records,
    propose_destruction,
    refuse_destruction,
    stopped_destructions,
)
from benhan.records.documents import blob_of, content_of, document_of, documents
from benhan.records.entitlement import (
    add_coverage,
    entitlement_line,
    entitlement_on,
    fix_doituong,
    withdraw_coverage,
)
from benhan.records.extraction import derived
from benhan.records.facts import diagnosis_stage, diagnosis_value, facts, form_of
from benhan.records.frozen import Sealing, open_sealings
from benhan.records.guard import closed_record_guard
from benhan.records.ho_so_benh_an import from_xml, ho_so_benh_an, to_json, to_xml
from benhan.records.keeping import Kept, Proof, RenewalRun, at_risk, kept, look_at_proofs, renew_due
from benhan.records.lifecycle import (
    archive_record,
    complete_record,
    extend_record,
    mark_due,
    receive_record,
    record_state,
    reopen_record,
    return_record,
    set_legal_hold,
    submit_record,
)
from benhan.records.medication import administer, administrations, drug_orders, order_drug, stop_drug
from benhan.records.numbering import (
    cancel_number,
    lend_range,
    numbers_taken,
    record_lent,
    return_range,
    take_number,
)
from benhan.records.orders import cancel_order, order_lab, orders
from benhan.records.paper_signing import Shown, show_paper, shown_pdf, sign_paper
from benhan.records.papers import (
    issue_discharge_paper,
    issue_paper,
    open_paper,
    open_record,
    paper,
    paper_answers,
    papers,
    print_paper,
    save_form,
    withdraw_signature,
)
from benhan.records.printing import print_record
from benhan.records.proposals import defaults, proposals
from benhan.records.recoding import DischargeDiagnosis, discharge_diagnoses, recode
from benhan.records.release import (
    CodeAnswer,
    Release,
    ReleaseInput,
    Requester,
    act_title,
    ask_release,
    make_release,
    may_have,
    release_file,
    releases,
    requesters,
    verify_code,
    withdraw_release,
)
from benhan.records.requests import Request, ask, decide, request, requests
from benhan.records.results import correct_result, enter_result, result_series
from benhan.records.returning import resend_paper, return_paper, returns_of
from benhan.records.scan_signing import sign_scan
from benhan.records.scans import (
    IndexRow,
    ScanFile,
    Scanned,
    add_scan,
    begin_scan,
    check_scan,
    drop_scan,
    index_scan,
    rescan,
    scan_facts,
    scan_gaps,
    scanned_cases,
    scanned_record,
    unlisted,
)
from benhan.records.sealing import cancel_closing, close_record, containers, finish_sealing, start_closing
from benhan.records.settlement import Payment, payments, settle, settled_at, unsettle
from benhan.records.sheets import (
    add_entry,
    amend_entry,
    end_sheet,
    entries,
    entry_proof,
    open_sheet,
    print_sheet,
    sheets,
    sign_entry,
)
from benhan.records.sign_batch import MOST as MOST_SIGNED
from benhan.records.sign_batch import (
    Chosen,
    SignBatch,
    SignItem,
    beat,
    begin_batch,
    claim_batch,
    run_batch,
    sign_batch,
    stopped_batches,
)
from benhan.records.sign_far import ToSign, finish_batch, give_up_batch, prepare_batch, prepared_of
from benhan.records.signed_bytes import byte_signature, sign_bytes
from benhan.records.signers import Reader, is_patients
from benhan.records.spoken import SpokenOrder, confirm_spoken, confirmed_at, is_spoken, spoken_waiting
from benhan.records.states import Transition, allowed_events, closed_states, state_title, states, transition
from benhan.records.stays import (
    accept_transfer,
    cancel_transfer,
    current_stay,
    move_bed,
    pending_transfers,
    request_transfer,
    stays,
    transfer_to,
)
from benhan.records.timeline import timeline
from benhan.records.types import (
    AccountTotals,
    Addendum,
    AddendumDone,
    Administration,
    Admission,
    Admitted,
    Authorize,
    Bed,
    BedInterval,
    Binder,
    BinderPart,
    Case,
    ChargeInput,
    ChargeLine,
    CoverageInput,
    Discharge,
    DrugOrder,
    Entitlement,
    Entry,
    Gap,
    IssuedPaper,
    LabOrder,
    LateSignature,
    Number,
    NumberRow,
    OpenedRecord,
    Paper,
    Point,
    Range,
    RecordEvent,
    ResultEntered,
    ResultInput,
    Returned,
    ScanInput,
    SheetEntry,
    Signature,
    SignWith,
    Staff,
    Stay,
    TimelineItem,
    VitalSigns,
    WorkPaper,
    WorkPatient,
    WorkRecord,
    everything_allowed,
)
from benhan.records.undoing import ACTS as UNDO_ACTS
from benhan.records.undoing import Undo, ask_undo, grant_undo, obstacles
from benhan.records.unread import (
    CRITICAL,
    Seen,
    Unread,
    UnreadResult,
    acknowledge_result,
    seen_by,
    unread_results,
)
from benhan.records.vitals import SIGNS, record_vitals, vital_series
from benhan.records.waiting import Waiting, complete_waiting, void_signatures, waiting_of, waiting_signatures
from benhan.records.worklists import (
    late_signatures,
    my_patients,
    papers_to_sign,
    records_owed,
    returned_papers,
)

__all__ = [
    "CRITICAL",
    "DELEGABLE",
    "MOST_SIGNED",
    "OTHER_SOURCES",
    "PAYERS",
    "SIGNS",
    "UNDO_ACTS",
    "AccountTotals",
    "Addendum",
    "AddendumDone",
    "Administration",
    "Admission",
    "Admitted",
    "Authorize",
    "Bed",
    "BedInterval",
    "Binder",
    "BinderPart",
    "Case",
    "ChargeInput",
    "ChargeLine",
    "Chosen",
    "CodeAnswer",
    "ColdFault",
    "ColdState",
    "CoverageInput",
    "Delegation",
    "Destruction",
    "Discharge",
    "DischargeDiagnosis",
    "DrugOrder",
    "DueRecord",
    "Entitlement",
    "Entry",
    "Gap",
    "Hand",
    "IndexRow",
    "IssuedPaper",
    "Kept",
    "LabOrder",
    "LateSignature",
    "Number",
    "NumberRow",
    "OpenedRecord",
    "Paper",
    "Payment",
    "Point",
    "Proof",
    "Range",
    "Reader",
    "RecordEvent",
    "Release",
    "ReleaseInput",
    "RenewalRun",
    "Request",
    "Requester",
    "ResultEntered",
    "ResultInput",
    "Returned",
    "ScanFile",
    "ScanInput",
    "Scanned",
    "Scrub",
    "Sealing",
    "Seen",
    "SheetEntry",
    "Shown",
    "SignBatch",
    "SignItem",
    "SignWith",
    "Signature",
    "SpokenOrder",
    "Staff",
    "Stay",
    "TimelineItem",
    "ToSign",
    "Transition",
    "Undo",
    "Unread",
    "UnreadResult",
    "VitalSigns",
    "Waiting",
    "WorkPaper",
    "WorkPatient",
    "WorkRecord",
    "accept_transfer",
    "account",
    "acknowledge_result",
    "act_title",
    "add_addendum",
    "add_advance",
    "add_coverage",
    "add_entry",
    "add_scan",
    "administer",
    "administrations",
    "admit",
    "allowed_events",
    "amend_entry",
    "archive_record",
    "ask",
    "ask_hand",
    "ask_release",
    "ask_undo",
    "at_risk",
    "beat",
    "begin_batch",
    "begin_scan",
    "binder",
    "blob_of",
    "byte_signature",
    "cancel_closing",
    "cancel_number",
    "cancel_order",
    "cancel_transfer",
    "case",
    "certificate_of",
    "change_payer",
    "charge",
    "charge_bed_days",
    "charge_lines",
    "check_scan",
    "claim_batch",
    "close_record",
    "closed_record_guard",
    "closed_states",
    "cold_faults",
    "cold_state",
    "complete_record",
    "complete_waiting",
    "completeness",
    "confirm_spoken",
    "confirmed_at",
    "containers",
    "content_of",
    "contents",
    "correct_result",
    "current_stay",
    "decide",
    "defaults",
    "delegate",
    "delegations_from",
    "delegations_to",
    "derived",
    "destroy_record",
    "destruction",
    "destructions",
    "diagnosis_stage",
    "diagnosis_value",
    "discharge",
    "discharge_diagnoses",
    "discharge_facts",
    "document_bundle",
    "document_of",
    "documents",
    "draw_hand",
    "drop_hand",
    "drop_scan",
    "drug_orders",
    "due_records",
    "encounter_by_ma_lk",
    "end_delegation",
    "end_sheet",
    "enter_result",
    "entitlement_line",
    "entitlement_on",
    "entries",
    "entry_proof",
    "events",
    "everything_allowed",
    "extend_record",
    "facts",
    "find_or_register_patient",
    "finish_batch",
    "finish_sealing",
    "fix_doituong",
    "form_of",
    "from_xml",
    "give_up_batch",
    "grant_undo",
    "hand_by_token",
    "hand_of",
    "ho_so_benh_an",
    "index_scan",
    "is_patients",
    "is_spoken",
    "issue_discharge_paper",
    "issue_paper",
    "kept",
    "late_signatures",
    "lend_range",
    "list_cases",
    "lock_charges",
    "look_at_proofs",
    "make_release",
    "mark_due",
    "may_have",
    "move_bed",
    "move_to_cold",
    "my_patients",
    "numbers_taken",
    "obstacles",
    "open_paper",
    "open_record",
    "open_sealings",
    "open_sheet",
    "order_drug",
    "order_lab",
    "orders",
    "paper",
    "paper_answers",
    "papers",
    "papers_to_sign",
    "payments",
    "pending_transfers",
    "picture_of",
    "places",
    "prepare_batch",
    "prepared_of",
    "print_paper",
    "print_record",
    "print_sheet",
    "proposals",
    "propose_destruction",
    "recalculate",
    "receive_record",
    "recode",
    "record_lent",
    "record_state",
    "record_vitals",
    "records_owed",
    "refuse_destruction",
    "register_patient",
    "release_file",
    "releases",
    "renew_due",
    "reopen_record",
    "request",
    "request_transfer",
    "requesters",
    "requests",
    "rescan",
    "resend_paper",
    "result_series",
    "return_paper",
    "return_range",
    "return_record",
    "returned_papers",
    "returns_of",
    "reverse_charge",
    "run_batch",
    "save_form",
    "scan_facts",
    "scan_gaps",
    "scanned_cases",
    "scanned_record",
    "scrub",
    "scrubs",
    "seen_by",
    "set_legal_hold",
    "settle",
    "settled_at",
    "sheets",
    "show_paper",
    "shown_pdf",
    "sign_addendum",
    "sign_batch",
    "sign_bytes",
    "sign_entry",
    "sign_paper",
    "sign_scan",
    "spoken_waiting",
    "start_addendum",
    "start_closing",
    "state_title",
    "states",
    "stays",
    "stop_drug",
    "stopped_batches",
    "stopped_destructions",
    "submit_claim_when_ready",
    "submit_record",
    "take_number",
    "timeline",
    "to_json",
    "to_xml",
    "transfer_to",
    "transition",
    "unlisted",
    "unlock_charges",
    "unread_results",
    "unsettle",
    "verify_code",
    "vital_series",
    "void_signatures",
    "waiting_of",
    "waiting_signatures",
    "withdraw_coverage",
    "withdraw_release",
    "withdraw_signature",
    "witness_hand",
]
