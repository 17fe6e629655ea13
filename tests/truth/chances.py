"""What Hypothesis chooses from, and how often."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.truth import events, troubles
from tests.truth.compounds import Interrupt, Interrupted, SlowPage, SlowTransaction
from tests.truth.happenings import (
    Begin,
    BeginPage,
    ClosePage,
    Deploy,
    End,
    Enlist,
    Evict,
    Happening,
    Kill,
    Load,
    OpenPage,
    Pause,
    Push,
    Read,
    ReadOnTarget,
    Restart,
    Rotate,
    StepClock,
    Warm,
    WholePage,
    Write,
    WriteInTransaction,
)
from tests.truth.site import SHOWN

PLACES = st.sampled_from(SHOWN)
_N = st.integers(0, 5)
_GAP = st.integers(0, 5)
_FLAG = st.booleans()
_MOSTLY = st.sampled_from([True, True, True, False])
_WAY = st.sampled_from(events.WAYS)
_KIND = st.sampled_from(["session", "band", "artist"])
_LOST = st.sampled_from(["entry", "head", "token", "manifest", "lease"])
_PAUSE = st.sampled_from(troubles.PAUSES)
_AHEAD = st.sampled_from(troubles.STEPS)
# None: what most of the events are about.
_SHOWN = st.one_of(st.none(), st.none(), PLACES)
_CELL = st.one_of(st.none(), st.none(), st.sampled_from(events.CELLS))


def _of(kind: type[Happening], *fields: st.SearchStrategy[object]) -> st.SearchStrategy[Happening]:
    return st.builds(kind, *fields)


_WAIT = _of(Pause, _PAUSE)
_WRITE = _of(Write, _N, _CELL, _WAY)
_END = _of(End, _N, _MOSTLY)
_PAGE = _of(WholePage, _N, _SHOWN)
_WARM = _of(Warm, _N, _SHOWN, _FLAG)
_PUSH = _of(Push, _N, _SHOWN, _FLAG, _FLAG)
_EVICT = _of(Evict, _LOST, _N, _FLAG)
_KILL = _of(Kill, _N)
_TROUBLE = st.one_of(
    _of(StepClock, st.one_of(st.none(), _N), _AHEAD),
    _KILL,
    _of(Deploy, _N),
    _of(Rotate, _N),
    _of(Restart),
)
_MEANWHILE = st.one_of(
    *(_WRITE,) * 4, _PAGE, _PAGE, _WARM, _WARM, _END, _PUSH, _EVICT, _KILL, _WAIT
)
_SOME = st.lists(_MEANWHILE, max_size=2)

#: What happens often stands there several times. The simplest example is as many of the first.
HAPPENINGS: st.SearchStrategy[Happening] = st.one_of(
    _WAIT,
    _WRITE,
    _WRITE,
    *(_of(Interrupted, _GAP, _MEANWHILE, st.one_of(_PAGE, _PAGE, _WARM)),) * 4,
    *(_of(SlowPage, _N, _KIND, _SOME, _SHOWN, _SOME),) * 3,
    *(_of(SlowTransaction, _N, _N, _CELL, _SOME, _MOSTLY),) * 2,
    _of(Interrupt, _GAP, _MEANWHILE),
    _of(BeginPage, _N, _SHOWN),
    _of(OpenPage, _N, _KIND),
    _of(Load, _N, _KIND),
    _of(Read, _N, _SHOWN),
    _of(Read, _N, _SHOWN),
    _of(ClosePage, _N),
    _PAGE,
    _PAGE,
    _WARM,
    _of(Begin, _N, _FLAG, _FLAG),
    _of(WriteInTransaction, _N, _N, _CELL, _WAY),
    _of(WriteInTransaction, _N, _N, _CELL, _WAY),
    _END,
    _of(Enlist, _N, st.sampled_from(events.MUSICIANS)),
    _of(ReadOnTarget, _SHOWN),
    _PUSH,
    _EVICT,
    _TROUBLE,
)
