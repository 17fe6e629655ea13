from benchmarks.cards.content import card_context
from benchmarks.cards.models import Card
from fragcache import fragment


@fragment("cards/card.html", items=Card.objects.all, version="updated_at")
def card(card):
    return card_context(card)
