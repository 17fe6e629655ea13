"""What the target expects of the source's contexts; all that it knows of music."""

from dataclasses import dataclass


@dataclass
class Album:
    title: str
    track_count: int
    milliseconds: int


@dataclass
class Artist:
    name: str
    albums: list[Album]


@dataclass
class Discography:
    artist: Artist


@dataclass
class Catalogue:
    ids: list[int]
    artists: int
    albums: int
    tracks: int


@dataclass
class Music:
    artists: list[Artist]
