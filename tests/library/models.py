"""A record library: what the fragments of the tests are rendered from."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class Artist(models.Model):
    name = models.CharField(max_length=100)
    #: Set by hand, unlike the album's.
    updated_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Album(models.Model):
    title = models.CharField(max_length=100)
    artist = models.ForeignKey(Artist, models.CASCADE, related_name="albums")
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title


class Track(models.Model):
    album = models.ForeignKey(Album, models.CASCADE, related_name="tracks")
    position = models.PositiveSmallIntegerField(default=1)
    title = models.CharField(max_length=100)

    class Meta:
        ordering = ["album", "position"]

    def __str__(self) -> str:
        return self.title


class Note(models.Model):
    """A model whose primary key is no number."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    text = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.text


class Seal(models.Model):
    """A model whose primary key has no text that it could be read from."""

    mark = models.BinaryField(primary_key=True, max_length=8)

    def __str__(self) -> str:
        return repr(self.mark)


class Country(models.Model):
    """A model whose primary key is a text."""

    code = models.CharField(primary_key=True, max_length=8)

    def __str__(self) -> str:
        return self.code


class Shelf(models.Model):
    """A model whose primary key is of two columns."""

    pk = models.CompositePrimaryKey("room", "number")
    room = models.UUIDField(default=uuid.uuid4)
    number = models.PositiveSmallIntegerField()
    label = models.CharField(max_length=100)
    revision = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return self.label
