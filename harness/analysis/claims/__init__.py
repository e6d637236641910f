"""Claims as data: testable ones with a verdict from records, and published ones as computed arithmetic beside them."""

from harness.analysis.claims.judge import judge, judge_all
from harness.analysis.claims.published import load_published
from harness.analysis.claims.spec import load_claims
from harness.analysis.summary import verdicts_to_json

__all__ = ["judge", "judge_all", "load_claims", "load_published", "verdicts_to_json"]
