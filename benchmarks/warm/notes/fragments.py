from benchmarks.warm.notes.models import Note
from fragcache import fragment


@fragment("notes/note.html", items=Note.objects.all, version="updated_at")
def note(note):
    return {"note": note}
