"""Troubles: what befalls servers, clocks and processes."""

from __future__ import annotations

from tests.truth.clock import SECOND
from tests.truth.process import KEY_STAGES, Process
from tests.truth.world import World

#: Microseconds by which a clock may be ahead, so that no two differ by five seconds.
STEPS = (-2 * SECOND, 0, 2 * SECOND)
#: Seconds that pass: less and more than what is trusted, waited for, or shown stale.
PAUSES = (0.3, 1.2, 6.0, 11.0, 31.0)
#: A transaction of longer would be beyond what `--changed` believes.
LONGEST = 400


def lose(world: World, kind: str, number: int, *, is_all: bool) -> None:
    """Evict what lies on the server, or let it expire.

    One copy of three of each token: the others are on other nodes.
    """
    keys = world.server.of_kind(kind)
    if kind == "token":
        if world.copies_lost not in {None, number % 3}:
            return
        world.copies_lost = number % 3
        keys = [key for key in keys if key.endswith(f"#{number % 3}")]
    elif keys and not is_all:
        keys = [keys[number % len(keys)]]
    world.server.lose(keys)
    world.judge.note_lost(keys, world.clock.now)


def restart(world: World) -> None:
    """Restart the cache server, unless a page is built by who cannot tell that it did."""
    busy = [*world.visits, *world.operations]
    if all(one.process.knows_tokens for one in busy):
        keys = list(world.server.keys)
        world.server.lose(keys)
        world.judge.note_lost(keys, world.clock.now)
        world.copies_lost = None


def pause(world: World, seconds: float) -> None:
    if world.longest_open + seconds < LONGEST:
        world.clock.advance(seconds)


def step_clock(world: World, process: Process | None, ahead: int) -> None:
    """Step the clock of a process, or of the database."""
    if process is None:
        world.database.ahead = ahead
    else:
        process.ahead = ahead


def kill(world: World, process: Process) -> None:
    """Kill the process whose turn it is, or if nobody does anything this one."""
    if world.operations:
        process = world.operations[-1].process
    if process in world.processes:
        world.bury(process)


def deploy(world: World, process: Process) -> None:
    """Let another release take the place of a process."""
    world.bury(process, world.releases[2 - process.release.number])


def rotate(world: World, process: Process) -> None:
    """Restart a process with the next secret keys, which it gets when all have the former ones."""
    everybody = [*world.processes, world.target]
    stage = min(one.stage for one in everybody)
    if stage + 1 == len(KEY_STAGES):
        return
    if process.stage == stage:
        world.bury(process, stage=stage + 1)
    elif world.target.stage == stage:
        world.target = world.new_process(world.releases[0], stage + 1, is_target=True)
