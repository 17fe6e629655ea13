"""Models: the runs of ``warm_fragments``, as they are listed and shown in the admin."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


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
