"""A verification: walk a sample of each fragment, batch by batch, and note what is found."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from fragcache import axes
from fragcache.contexts.forms import forms_of
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.exceptions import CacheUnavailable
from fragcache.store import store
from fragcache.verifying.comparing import Comparison
from fragcache.verifying.plan import VerifyPlan
from fragcache.verifying.report import Report, Verified
from fragcache.verifying.sampling import sampled
from fragcache.verifying.widths import Narrowness, Wideness
from fragcache.warming.batches import Batch
from fragcache.warming.renders import log_failure
from fragcache.warming.units import Versioned

logger = logging.getLogger("fragcache.verify")

ON_DEMAND = (
    "It is made on demand: only what can be listed is verified. Give it items, or choices for all "
    "its parameters."
)


@dataclass(slots=True)
class Verification:
    """One execution of a plan, which writes nothing.

    ``after_batch`` is called with a fragment and the number of instances looked at,
    ``after_fragment`` with what became of each; ``is_stopped`` is asked between batches.
    """

    plan: VerifyPlan
    after_batch: Callable[[Fragment, int], None] = lambda _fragment, _number: None
    after_fragment: Callable[[Fragment, Verified], None] = lambda _fragment, _verified: None
    is_stopped: Callable[[], bool] = lambda: False
    report: Report = field(default_factory=Report)

    def execute(self) -> Report:
        """Verify, and return the report; what fails of the site's code is logged and counted.

        Raises:
            CacheUnavailable: the cache does not answer; ``report`` holds what was done.
        """
        for fragment in self.plan.fragments:
            verified = self.report.fragments[fragment.name] = Verified()
            began = time.monotonic()
            try:
                self._verify(fragment, verified)
            except CacheUnavailable:
                raise
            except Exception as error:
                verified.tally.failed += 1
                about = {"fragment": fragment.name}
                logger.error("%s: %s", fragment.name, error, exc_info=error, extra=about)
            finally:
                verified.tally.seconds = time.monotonic() - began
            self.after_fragment(fragment, verified)
            if self.is_stopped():
                self.report.is_interrupted = True
                break
        return self.report

    def _verify(self, fragment: Fragment, verified: Verified) -> None:
        if not fragment.is_warmable:
            verified.note = ON_DEMAND
            return
        form = forms_of(fragment)[0]  # of both, one version is that of the other
        digest_of(form)  # which says what is wrong with the template before anything is read
        combinations = self.plan.combinations(fragment)
        comparison = Comparison(form, store(self.plan.using or fragment.using), verified)
        narrowness, wideness = Narrowness(form, verified), Wideness(form)
        random = Random(f"{self.plan.seed} {fragment.name}")  # noqa: S311 - no secret
        choices = max(1, len(fragment.choice_combinations()))
        number = _items(self.plan.sample, choices * max(1, len(combinations)))
        size = math.ceil(self.plan.batch_size / choices)
        for batch in sampled(fragment, number, size, random):
            instances = _without_failed(fragment, verified, batch)
            for position, values in enumerate(combinations):
                with axes.activated(values):
                    html = comparison.compare(instances, values)
                    if position == 0:
                        narrowness.look(instances, values, html)
                wideness.note(instances, values, html)
                self.after_batch(fragment, len(instances))
                if self.is_stopped():
                    return
            wideness.end_batch()
        for finding in wideness.findings():
            verified.add(finding)


def _items(sample: int | None, instances_of_each: int) -> int | None:
    return None if sample is None else max(1, math.ceil(sample / instances_of_each))


def _without_failed(fragment: Fragment, verified: Verified, batch: Batch) -> Versioned:
    sound = []
    for instance, version in batch:
        if isinstance(version, Exception):
            verified.tally.instances += 1
            verified.tally.failed += 1
            log_failure(fragment, instance, version)
        else:
            sound.append((instance, version))
    return sound
