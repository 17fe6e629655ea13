"""Subjects have courses, courses have modules, modules have contents of four kinds."""

from django.db import models

from courses.touch import TouchedModel


class Subject(TouchedModel):
    title = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)

    class Meta(TouchedModel.Meta):
        ordering = ["title", "pk"]

    def __str__(self) -> str:
        return self.title


class Course(TouchedModel):
    subject = models.ForeignKey(Subject, models.CASCADE, related_name="courses")
    title = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    source = models.URLField(
        "published at", help_text="The site of the lesson this course was made from."
    )

    class Meta(TouchedModel.Meta):
        ordering = ["title", "pk"]

    def __str__(self) -> str:
        return self.title


class Module(TouchedModel):
    touches = "course"

    course = models.ForeignKey(Course, models.CASCADE, related_name="modules")
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, help_text="Markdown.")
    minutes = models.PositiveIntegerField(default=0)
    order = models.PositiveIntegerField()

    class Meta(TouchedModel.Meta):
        ordering = ["order", "pk"]

    def __str__(self) -> str:
        return self.title


class Content(TouchedModel):
    """A piece of a module. It is shown by a template named after its kind."""

    touches = "module"

    class Kind(models.TextChoices):
        TEXT = "text"
        IMAGE = "image"
        FILE = "file"
        VIDEO = "video"

    module = models.ForeignKey(Module, models.CASCADE, related_name="contents")
    kind = models.CharField(max_length=5, choices=Kind)
    title = models.CharField(max_length=200, blank=True, help_text="Markdown.")
    text = models.TextField(blank=True, help_text="Markdown; the description of an image.")
    url = models.URLField(max_length=500, blank=True)
    order = models.PositiveIntegerField()

    class Meta(TouchedModel.Meta):
        ordering = ["order", "pk"]

    def __str__(self) -> str:
        return self.title or f"{self.get_kind_display()} {self.order}"

    @property
    def template_name(self) -> str:
        return f"courses/contents/{self.kind}.html"
