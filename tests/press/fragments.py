from typing import Any

from fragcache import fragment
from tests.press.models import Article

#: What was rendered, in order.
renders: list[str] = []


@fragment("press/article.html", items=Article.objects.all, version="mtime")
def article_card(article: Article) -> dict[str, Any]:
    renders.append(article.title)
    return {"article": article}


@fragment("press/titles.html", using="default")
def titles() -> dict[str, Any]:
    renders.append("titles")
    return {"titles": list(Article.objects.values_list("title", flat=True))}
