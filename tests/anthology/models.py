from django.db import models


class Passage(models.Model):
    title = models.CharField(max_length=300)
    text = models.TextField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title
