from django.db import models


class Note(models.Model):
    """Small enough that a million of them, rendered, fit into a cache server."""

    title = models.CharField(max_length=100)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title
