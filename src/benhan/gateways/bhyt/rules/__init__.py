"""Rules of the claim as data: language, book, and judgement. See ``docs/howto/add-a-claim-rule.md``."""

from benhan.gateways.bhyt.rules.book import GATES, Gate, Rule, read_rules, shipped_rules
from benhan.gateways.bhyt.rules.finding import Finding, errors
from benhan.gateways.bhyt.rules.judge import judge

__all__ = ["GATES", "Finding", "Gate", "Rule", "errors", "judge", "read_rules", "shipped_rules"]
