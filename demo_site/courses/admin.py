"""Edit the courses and see on both sites what the next `warm_fragments` renders."""

from django.contrib import admin

from courses.models import Content, Course, Module, Subject


@admin.register(Subject)
class SubjectAdmin(admin.ModelAdmin):
    list_display = ["title", "updated_at"]
    prepopulated_fields = {"slug": ["title"]}


@admin.register(Course)
class CourseAdmin(admin.ModelAdmin):
    list_display = ["title", "subject", "updated_at"]
    list_select_related = ["subject"]
    prepopulated_fields = {"slug": ["title"]}
    search_fields = ["title"]


@admin.register(Module)
class ModuleAdmin(admin.ModelAdmin):
    list_display = ["title", "course", "order", "minutes", "updated_at"]
    list_filter = ["course"]
    list_select_related = ["course"]
    search_fields = ["title"]


@admin.register(Content)
class ContentAdmin(admin.ModelAdmin):
    list_display = ["__str__", "kind", "module", "order", "updated_at"]
    list_filter = ["kind", "module__course"]
    list_select_related = ["module"]
    search_fields = ["title", "text"]
