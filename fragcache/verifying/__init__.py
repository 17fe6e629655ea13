"""Verifying: render again, and compare with what is stored and what the keys tell apart."""

from fragcache.verifying.findings import Finding, Kind
from fragcache.verifying.plan import SAMPLE, VerifyPlan
from fragcache.verifying.report import Report, Tally
from fragcache.verifying.verification import Verification

__all__ = ["SAMPLE", "Finding", "Kind", "Report", "Tally", "Verification", "VerifyPlan"]
