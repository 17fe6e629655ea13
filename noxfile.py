"""The version matrix, for those who like nox: the same commands that `make test` runs."""

import nox

PAIRS = [
    nox.param("3.11", "5.2", id="py3.11-dj5.2"),
    nox.param("3.12", "5.2", id="py3.12-dj5.2"),
    nox.param("3.12", "6.1", id="py3.12-dj6.1"),
    nox.param("3.13", "6.1", id="py3.13-dj6.1"),
    nox.param("3.14", "6.1", id="py3.14-dj6.1"),
]


@nox.session(python=False)
@nox.parametrize(["interpreter", "django"], PAIRS)
def tests(session: nox.Session, interpreter: str, django: str) -> None:
    """Style, types and tests of one pair."""
    make(session, "test", f"PYTHON=python{interpreter}", f"DJANGO={django}")


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Style and types alone, with the newest pair."""
    make(session, "lint", "types")


def make(session: nox.Session, *arguments: str) -> None:
    session.run("make", "--no-print-directory", *arguments, *session.posargs, external=True)
