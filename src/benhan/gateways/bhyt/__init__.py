"""Health insurance (BHYT): claim packages, the portal, its simulator, and intake of packages of other software.

Face::

    register_jobs() -> None      outbox topics ``bhyt.submit`` {encounter, ma_lk}, ``bhyt.card-check`` {encounter}
    await submit_waiting(store, tenant) -> int               claims made while no portal was set
    await ingest(repo, raw, source_name) -> IngestResult(status, ma_lk, reason, warnings, written, code)
    await quarantined(repo) -> list[Quarantined(sha256, at, source_name, ma_lk, code, reason)]
    await replay(repo, sha256) -> IngestResult                  a quarantined package read again
    await facts_from_record(repo, encounter_id) -> ClaimFacts ; build_claim(facts) -> Package
    check(package, on=None) -> list[Finding(severity, code, place, text; table, line, field)]
    write_package(package) -> bytes ; read_package(raw) -> Package (with ``leniencies``) ; read_packages(raw)
    to_fhir(package, source_name, recorded) -> Bundle ; from_fhir(bundle) -> Package
    create_simulator(state_dir=None) -> Starlette ; register_card(state_dir, card) -> None
    PortalClient(url, account, facility): check_card, send, ask ; portal_of(settings, facility)
    await check_card(settings, facility, card, name, birth) -> CardAnswer
"""

from benhan.gateways.bhyt.check import Finding, check
from benhan.gateways.bhyt.claim import (
    CardFacts,
    ClaimFacts,
    DrugLine,
    ProgressLine,
    ResultLine,
    ServiceLine,
    build_claim,
)
from benhan.gateways.bhyt.from_fhir import from_fhir
from benhan.gateways.bhyt.ingest import IngestResult, ingest, replay
from benhan.gateways.bhyt.jobs import register_jobs, submit_waiting
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
from benhan.gateways.bhyt.simulator import create_simulator, register_card
from benhan.gateways.bhyt.to_fhir import to_fhir

__all__ = [
    "Account",
    "CardAnswer",
    "CardFacts",
    "ClaimFacts",
    "DrugLine",
    "Finding",
    "IngestResult",
    "Leniency",
    "Package",
    "PortalClient",
    "ProgressLine",
    "Quarantined",
    "Receipt",
    "ResultLine",
    "Row",
    "ServiceLine",
    "build_claim",
    "check",
    "check_card",
    "create_simulator",
    "facts_from_record",
    "from_fhir",
    "ingest",
    "make_row",
    "portal_of",
    "quarantined",
    "read_package",
    "read_packages",
    "register_card",
    "register_jobs",
    "replay",
    "submit_waiting",
    "to_fhir",
    "write_package",
]
