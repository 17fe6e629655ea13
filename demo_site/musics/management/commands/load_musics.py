"""Load the discography that comes with the demo. Running it again changes nothing."""

from typing import Any

from common.loading import DATA, LoadCommand
from musics.loading import load


class Command(LoadCommand):
    help = "Load the artists, albums and tracks of Chinook; edited ones get their names back."
    file = DATA / "chinook.json"
    load = staticmethod(load)

    def contents(self, data: dict[str, Any]) -> str:
        return ", ".join(f"{len(data[kind]):,} {kind}" for kind in ("artists", "albums", "tracks"))
