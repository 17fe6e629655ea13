"""Artists have albums, albums have tracks. A change of any of them moves the artist's mtime."""

from django.db import models

from fragcache.models import TouchedModel


class Numbered(TouchedModel):
    """A row that may come from the data file."""

    number = models.PositiveIntegerField(
        "number in Chinook", unique=True, null=True, blank=True, editable=False
    )

    class Meta(TouchedModel.Meta):
        abstract = True


class Artist(Numbered):
    name = models.CharField(max_length=200)

    class Meta(Numbered.Meta):
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class Album(Numbered):
    touches = ["artist"]

    artist = models.ForeignKey(Artist, models.CASCADE, related_name="albums")
    title = models.CharField(max_length=200)

    class Meta(Numbered.Meta):
        ordering = ["title", "pk"]

    def __str__(self) -> str:
        return self.title


class Track(Numbered):
    touches = ["album"]  # which touches its artist in turn

    album = models.ForeignKey(Album, models.CASCADE, related_name="tracks")
    name = models.CharField(max_length=200)
    composer = models.CharField(max_length=200, blank=True)
    milliseconds = models.PositiveIntegerField()

    class Meta(Numbered.Meta):
        ordering = ["number", "pk"]

    def __str__(self) -> str:
        return self.name
