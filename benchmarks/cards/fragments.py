from benchmarks.cards.models import Card
from fragcache import fragment


@fragment("cards/card.html", items=Card.objects.all, version="updated_at")
def card(card):
    return {"card": card, "tags": ["python", "django", "cache", "template"]}
