from django.db import models

from fragcache.models import TouchedModel


class Article(TouchedModel):
    title = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.title
