"""Models: the runs of warming, counts, and those whose mtime moves, to derive one's own from."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from fragcache.touching.fields import TouchField
from fragcache.touching.models import TouchedModel
from fragcache.touching.moves import gathered_touches
from fragcache.touching.querysets import TouchedManager, TouchedQuerySet

__all__ = [
    "Counts",
    "FragmentCache",
    "Totals",
    "TouchField",
    "TouchedManager",
    "TouchedModel",
    "TouchedQuerySet",
    "WarmBatch",
    "WarmRun",
    "gathered_touches",
]


class FragmentCache(models.Model):
    """Nothing that is kept: the entry of the admin's index, and who may do what there."""

    class Meta:
        managed = False
        verbose_name = _("fragment cache")
        verbose_name_plural = _("fragment cache")
        default_permissions = ()
        permissions = [
            ("view_fragmentcache", _("Can view the fragment cache")),
            ("warm_fragments", _("Can warm fragments")),
            ("invalidate_fragments", _("Can invalidate fragments")),
            ("clear_fragments", _("Can clear all fragments")),
        ]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class WarmRun(models.Model):
    """One run of ``warm_fragments``: what was asked for, and what came of it."""

    class Status(models.TextChoices):
        """How the run ended, in the words of ``--json``; or that it has not."""

        RUNNING = "running", _("running")
        OK = "ok", _("ok")
        INCOMPLETE = "incomplete", _("incomplete")
        FAILED = "failed", _("failed")
        LOCKED = "locked", _("locked")
        INTERRUPTED = "interrupted", _("interrupted")
        UNAVAILABLE = "unavailable", _("unavailable")

    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process"))
    started_at = models.DateTimeField(_("started at"))
    #: None while it is running, and for ever of a process that was killed.
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.RUNNING)
    #: {"labels": ["blog"], "limit": 100}
    options = models.JSONField(_("options"), default=dict, blank=True)
    #: {"blog.post_card": {"planned": 20, "fresh": 8, ...}}, as in ``--json``
    fragments = models.JSONField(_("fragments"), default=dict, blank=True)
    problem = models.TextField(_("problem"), blank=True)
    #: Of a run that workers do; None while its batches are being listed, and of all other runs.
    batch_count = models.PositiveIntegerField(_("batches"), null=True, blank=True)

    class Meta:
        verbose_name = _("warm run")
        verbose_name_plural = _("warm runs")
        ordering = ["-started_at", "-pk"]
        indexes = [models.Index(fields=["started_at"], name="fragcache_warmrun_started")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S}, {self.host}: {self.get_status_display()}"

    def total(self, word: str) -> int:
        """Return the sum over the fragments of "planned", "fresh", or another of their counts."""
        return sum(counts.get(word, 0) for counts in self.fragments.values())


class WarmBatch(models.Model):
    """A part of a run that ``warm_fragments --enqueue`` hands to workers."""

    class Status(models.TextChoices):
        """What became of the batch."""

        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        OK = "ok", _("ok")
        FAILED = "failed", _("failed")
        UNAVAILABLE = "unavailable", _("unavailable")

    #: Of these nothing more is to come.
    DONE = (Status.OK, Status.FAILED, Status.UNAVAILABLE)

    run = models.ForeignKey(
        WarmRun, models.CASCADE, related_name="batches", verbose_name=_("warm run")
    )
    number = models.PositiveIntegerField(_("number"))
    fragment = models.CharField(_("fragment"), max_length=255)
    #: {"axis_values": {"language": "de"}, "after": 500, "until": 1000, "digest": "8072cefeef11"}
    description = models.JSONField(_("description"), default=dict)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.WAITING)
    #: {"planned": 500, "fresh": 480, ..., "refusals": {"too large": 3}}
    counts = models.JSONField(_("counts"), default=dict, blank=True)
    problem = models.TextField(_("problem"), blank=True)
    #: How often a worker has claimed it.
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    #: Names the claim of one worker, and nobody where none has it.
    claim = models.CharField(_("claim"), max_length=32, blank=True)
    host = models.CharField(_("host"), max_length=255, blank=True)
    pid = models.PositiveIntegerField(_("process"), null=True, blank=True)
    # By the clock of the database, since no two machines have the same.
    #: None of a batch that is not in the queue.
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    claimed_at = models.DateTimeField(_("claimed at"), null=True, blank=True)
    #: The last sign of its worker.
    beat_at = models.DateTimeField(_("last sign at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        verbose_name = _("warm batch")
        verbose_name_plural = _("warm batches")
        ordering = ["run", "number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="fragcache_warmbatch_number")
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.fragment}, {self.get_status_display()}"


class Outage(models.Model):
    """How long one process has left a cache alone that did not answer."""

    alias = models.CharField(_("cache alias"), max_length=255)
    #: "reading" or "writing"
    purpose = models.CharField(_("purpose"), max_length=20)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process"))
    began_at = models.DateTimeField(_("began at"))
    #: The last sign that it goes on; without one for a while, its process is gone.
    seen_at = models.DateTimeField(_("last sign at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("outage")
        verbose_name_plural = _("outages")
        ordering = ["-began_at", "-pk"]
        indexes = [models.Index(fields=["began_at"], name="fragcache_outage_began")]

    def __str__(self) -> str:
        return f"{self.began_at:%Y-%m-%d %H:%M:%S}, {self.host}: {self.alias}, {self.purpose}"


class Counts(models.Model):
    """What one process counted in a minute, or all of them in an hour: written by ``stats``."""

    # Numbers, since they are bounds of equal spans, and not moments to be shown.
    #: In seconds since 1970 UTC.
    began = models.BigIntegerField(_("began"))
    #: 60 or 3,600.
    seconds = models.PositiveIntegerField(_("seconds"))
    #: "host:pid:random", or what tells an hour's rows apart.
    process = models.CharField(_("process"), max_length=100)
    #: [["blog.post_card", "language=s2:en", {"hit": 7, "miss_cold": 1, ...}], ...]
    sheets = models.JSONField(_("sheets"), default=list)

    class Meta:
        verbose_name = _("counts")
        verbose_name_plural = _("counts")
        ordering = ["began", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["seconds", "began", "process"], name="fragcache_counts_span"
            )
        ]

    def __str__(self) -> str:
        return f"{self.began}, {self.seconds} s: {self.process}"


class Totals(models.Model):
    """What one process has counted since it began, or many that are gone; written by ``stats``."""

    #: As in ``Counts``, or "gone:" and a number.
    process = models.CharField(_("process"), max_length=100, unique=True)
    #: In seconds since 1970 UTC.
    written_at = models.BigIntegerField(_("written at"))
    #: As in ``Counts``, without axis values.
    sheets = models.JSONField(_("sheets"), default=list)

    class Meta:
        verbose_name = _("totals")
        verbose_name_plural = _("totals")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.process
