"""Posts of which django-simple-history keeps every state: the models that the docs show."""

from __future__ import annotations

from django.db import models
from simple_history.models import HistoricalRecords


class Tag(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Post(models.Model):
    title = models.CharField(max_length=100)
    tags = models.ManyToManyField(Tag, related_name="posts")
    history = HistoricalRecords(m2m_fields=[tags])

    def __str__(self) -> str:
        return self.title


class Topic(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Essay(models.Model):
    """A post without a history, whose tags change from both sides; 3.13 fails to record that."""

    title = models.CharField(max_length=100)
    tags = models.ManyToManyField(Topic, related_name="posts")

    def __str__(self) -> str:
        return self.title
