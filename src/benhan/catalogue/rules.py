"""Law and house rules as dated data: outcomes, retention, đối tượng, settings, number patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from benhan.base.errors import ConfigurationError, NotFound, RuleViolation
from benhan.catalogue.validity import period, table, valid_on


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a đợt ends and what follows. Codes that are not known are empty and stay so."""

    code: str
    name: str
    form_17: str
    form_18: str
    form_24: str
    ma_loai_rv: str
    ket_qua_dtri: str
    results: tuple[str, ...]
    death: bool
    papers: tuple[str, ...]
    needs: tuple[str, ...]
    confidence: str
    source: str


@dataclass(frozen=True, slots=True)
class OutcomeFacts:
    """An outcome together with the result the doctor chose."""

    outcome: Outcome
    form_17: str
    form_18: str
    form_24: str
    ma_loai_rv: str
    ket_qua_dtri: str
    result_name: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """How numbers of a kind are written and what takes one."""

    kind: str
    pattern: str
    scope: tuple[str, ...]
    events: tuple[str, ...]

    def scope_key(self, on: date, khoa: str | None) -> str:
        """Key by which the running number restarts, such as ``2026/K01``."""
        values = {"year": f"{on:%Y}", "khoa": khoa or ""}
        return "/".join(values[part] for part in self.scope)

    def render(self, seq: int, on: date, *, facility: str, khoa: str | None) -> str:
        """The number as printed."""
        return self.pattern.format(
            facility=facility, year=f"{on:%Y}", yy=f"{on:%y}", khoa=khoa or "", seq=seq
        )


def outcomes(on: date) -> tuple[Outcome, ...]:
    """Outcomes that may be chosen on the day."""
    entry = valid_on(table("outcomes.yaml"), on, "outcomes")
    return tuple(
        Outcome(
            o["code"], o["name"], o["form_17"], o["form_18"], o["form_24"], o["ma_loai_rv"],
            o["ket_qua_dtri"], tuple(o["results"]), o["death"], tuple(o["papers"]), tuple(o.get("needs", ())), o["confidence"],
            entry["source"],
        )
        for o in entry["outcomes"]
    )  # fmt: skip


def outcome(code: str, on: date) -> Outcome:
    """The outcome of a code. Raises: ``NotFound`` (catalogue.no-such-outcome)."""
    for entry in outcomes(on):
        if entry.code == code:
            return entry
    raise NotFound("catalogue.no-such-outcome", f"Không có hình thức kết thúc đợt điều trị “{code}”.")


def result_names(on: date) -> dict[str, str]:
    """KET_QUA_DTRI → its name."""
    return dict(valid_on(table("outcomes.yaml"), on, "outcomes")["result_names"])


def outcome_facts(code: str, result: str | None, on: date) -> OutcomeFacts:
    """Form items and claim codes of an outcome and, where the outcome leaves it open, the chosen result.

    Raises: ``RuleViolation`` (catalogue.result-not-possible) when the result does not fit the outcome.
    """
    chosen = outcome(code, on)
    if result and chosen.results and result not in chosen.results:
        raise RuleViolation(
            "catalogue.result-not-possible", "Kết quả điều trị không phù hợp với hình thức ra viện."
        )
    if result and not chosen.results and result != chosen.ket_qua_dtri:
        raise RuleViolation(
            "catalogue.result-not-possible", "Hình thức ra viện này đã định sẵn kết quả điều trị."
        )
    ket_qua = chosen.ket_qua_dtri or (result or "")
    entry = valid_on(table("outcomes.yaml"), on, "outcomes")
    form_24 = chosen.form_24 or entry["form_24_of_result"].get(ket_qua, "")
    name = entry["result_names"].get(ket_qua, "")
    return OutcomeFacts(chosen, chosen.form_17, chosen.form_18, form_24, chosen.ma_loai_rv, ket_qua, name)


def retention_years(kind: str, on: date) -> int | None:
    """Years a record of this kind is kept after the end of the year of closing; None is for ever.

    Raises: ``NotFound`` (catalogue.no-such-retention).
    """
    for rule in valid_on(table("retention.yaml"), on, "retention")["rules"]:
        if rule["kind"] == kind:
            years = rule["years"]
            return None if years is None else int(years)
    raise NotFound("catalogue.no-such-retention", f"Không có thời hạn lưu trữ cho loại “{kind}”.")


def retention_of(facts: Mapping[str, str], on: date) -> tuple[str, int | None]:
    """Kind and years of the longest rule that fits a record; ``facts``: result, form, class, icd10 (see the table).

    Raises: ``NotFound`` (catalogue.no-such-retention) when none fits: such a record is not to be destroyed by rule.
    """
    found = [
        (str(rule["kind"]), None if rule["years"] is None else int(rule["years"]))
        for rule in valid_on(table("retention.yaml"), on, "retention")["rules"]
        if any(_fits(name, wanted, facts.get(name, "")) for name, wanted in rule.get("fits", {}).items())
    ]
    if not found:
        raise NotFound("catalogue.no-such-retention", "Không có thời hạn lưu trữ nào hợp với hồ sơ này.")
    return max(found, key=lambda rule: float("inf") if rule[1] is None else rule[1])


def _fits(name: str, wanted: Sequence[str], fact: str) -> bool:
    return bool(fact) and any(fact.startswith(w) if name == "icd10" else fact == w for w in wanted)


def form_doi_tuong(payer: str, on: date) -> str:
    """Box 1–4 of *đối tượng* on the cover; empty when the payer is not mapped."""
    mapping = valid_on(table("form_doi_tuong.yaml"), on, "form_doi_tuong")["map"]
    return str(mapping.get(payer, ""))


def payer_name(payer: str, on: date) -> str:
    """Vietnamese name of a payer code."""
    return str(valid_on(table("form_doi_tuong.yaml"), on, "payers")["payer_names"].get(payer, payer))


def facility_setting(name: str, on: date, *, facility: str | None = None) -> Any:
    """Value of a house rule on the day: the facility's own row, else everybody's.

    Raises: ``ConfigurationError`` (catalogue.no-such-setting).
    """
    found: dict[str, Any] = {}
    for entry in table("settings.yaml"):
        if entry["name"] == name and entry["facility"] in ("*", facility) and period(entry).holds(on):
            found[entry["facility"]] = entry["value"]
    if not found:
        raise ConfigurationError("catalogue.no-such-setting", f"Chưa khai quy định “{name}” của cơ sở.")
    return found[facility] if facility in found else found["*"]


def numbering_pattern(
    kind: str, on: date, *, facility: str | None = None, khoa: str | None = None
) -> Pattern:
    """Pattern of a kind of number: the row of this facility and khoa wins over the general one.

    Raises: ``ConfigurationError`` (catalogue.no-such-pattern).
    """
    best: tuple[int, dict[str, Any]] | None = None
    for entry in table("numbering.yaml"):
        fits = entry["kind"] == kind and entry["facility"] in ("*", facility) and entry["khoa"] in ("*", khoa)
        if fits and period(entry).holds(on):
            exactness = 2 * (entry["facility"] != "*") + (entry["khoa"] != "*")
            if best is None or exactness > best[0]:
                best = (exactness, entry)
    if best is None:
        raise ConfigurationError("catalogue.no-such-pattern", f"Chưa khai mẫu số “{kind}”.")
    row = best[1]
    return Pattern(kind, row["pattern"], tuple(row["scope"]), tuple(row["events"]))
