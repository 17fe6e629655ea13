"""A discography: models with all that a context may lead to, which a target does not have."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString


class Singer(models.Model):
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    born_on = models.DateField(null=True)
    mentor = models.ForeignKey("self", models.SET_NULL, null=True, related_name="pupils")

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".upper()

    @cached_property
    def initials(self) -> str:
        return f"{self.first_name[0]}{self.last_name[0]}"

    def greeting(self, word: str = "Hello") -> str:
        return f"{word} {self.first_name}"

    def get_absolute_url(self) -> str:
        return f"/singers/{self.pk}/"


class Genre(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> SafeString:
        return format_html("<i>{}</i>", self.name)


class Comment(models.Model):
    text = models.CharField(max_length=100)
    # An app without migrations is created before those that have some.
    content_type = models.ForeignKey(ContentType, models.CASCADE, db_constraint=False)
    object_id = models.PositiveIntegerField()
    about = GenericForeignKey()

    def __str__(self) -> str:
        return self.text


class Record(models.Model):
    class Format(models.TextChoices):
        LP = "lp", "Long player"
        EP = "ep", "Extended play"

    title = models.CharField(max_length=100)
    singer = models.ForeignKey(Singer, models.CASCADE, related_name="records")
    genres = models.ManyToManyField(Genre, related_name="records")
    comments = GenericRelation(Comment)
    format = models.CharField(max_length=2, choices=Format, default=Format.LP)
    price = models.DecimalField(max_digits=6, decimal_places=2, default=Decimal("9.90"))
    released_at = models.DateTimeField(default=timezone.now)
    length = models.DurationField(null=True)
    cover = models.FileField(upload_to="covers", blank=True)
    details = models.JSONField(default=dict)
    code = models.UUIDField(default=uuid.uuid4)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title


class Song(models.Model):
    record = models.ForeignKey(Record, models.CASCADE, related_name="songs")
    title = models.CharField(max_length=100)

    def __str__(self) -> str:
        return f"{self.title} ({self.record.title})"
