"""Models whose mtimes move: what is recorded, where, by whom, and how it is labelled."""

from __future__ import annotations

import uuid

from django.db import models

from fragcache.models import TouchedModel, TouchField


class Label(TouchedModel):
    """A tag, whose name stands on the sessions that have it."""

    name = models.CharField(max_length=100)

    touches = ["sessions"]

    def __str__(self) -> str:
        return self.name


class Band(TouchedModel):
    """Its mtime is called otherwise, as of a table that was there before."""

    name = models.CharField(max_length=100)
    updated_at = TouchField()

    def __str__(self) -> str:
        return self.name


class Session(TouchedModel):
    title = models.CharField(max_length=100)
    slug = models.CharField(max_length=100, unique=True, default=uuid.uuid4)
    plays = models.PositiveIntegerField(default=0)
    band = models.ForeignKey(Band, models.SET_NULL, null=True, blank=True, related_name="sessions")
    labels = models.ManyToManyField(Label, related_name="sessions")
    updated_at = TouchField(db_index=True)

    touches = ["band"]

    def __str__(self) -> str:
        return self.title


class Take(TouchedModel):
    session = models.ForeignKey(Session, models.CASCADE, related_name="takes")
    mic = models.ForeignKey("Mic", models.CASCADE, null=True, related_name="takes")
    number = models.PositiveSmallIntegerField(default=1)

    touches = ["session"]

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="studio_take_number")
        ]

    def __str__(self) -> str:
        return str(self.number)


class Mic(models.Model):
    """A model without an mtime, whose deletion takes others along."""

    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class LiveSession(Session):
    """A session with a table of its own besides."""

    place = models.CharField(max_length=100)


class Musician(TouchedModel):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    friends = models.ManyToManyField("self")

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Song(models.Model):
    """What a session is, with what Django has for its mtime."""

    title = models.CharField(max_length=100)
    slug = models.CharField(max_length=100, unique=True, default=uuid.uuid4)
    plays = models.PositiveIntegerField(default=0)
    labels = models.ManyToManyField(Tag, related_name="sessions")
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title


class Verse(models.Model):
    session = models.ForeignKey(Song, models.CASCADE, related_name="takes")
    number = models.PositiveSmallIntegerField(default=1)

    def __str__(self) -> str:
        return str(self.number)
