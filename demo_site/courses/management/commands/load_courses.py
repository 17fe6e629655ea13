"""Load the courses that come with the demo. Running it again changes nothing."""

from typing import Any

from common.loading import DATA, LoadCommand
from courses.loading import load


class Command(LoadCommand):
    help = "Load the courses of The Carpentries; edited ones get their original text back."
    file = DATA / "carpentries.json"
    load = staticmethod(load)

    def contents(self, data: dict[str, Any]) -> str:
        modules = [module for course in data["courses"] for module in course["modules"]]
        contents = sum(len(module["contents"]) for module in modules)
        return f"{len(data['courses'])} courses, {len(modules)} modules, {contents:,} contents"
