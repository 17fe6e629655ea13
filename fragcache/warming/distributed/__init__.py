"""Runs that workers do: split into batches, claimed one by one, gathered when all are done.

What there is to do and what was done is in the database (``WarmBatch``); a queue carries only the
numbers of batches, so that any queue will do, and one that loses or repeats a message does no harm.
"""

from fragcache.warming.distributed.claims import DatabaseUnavailable, batches, check_database
from fragcache.warming.distributed.gathering import Gathered, gathered
from fragcache.warming.distributed.runs import (
    QueueUnavailable,
    Send,
    begin,
    deliver,
    going_on,
    is_alive,
    renew,
)
from fragcache.warming.distributed.splitting import CannotEnqueue
from fragcache.warming.distributed.turns import going_on_line, turn
from fragcache.warming.distributed.working import work

__all__ = [
    "CannotEnqueue",
    "DatabaseUnavailable",
    "Gathered",
    "QueueUnavailable",
    "Send",
    "batches",
    "begin",
    "check_database",
    "deliver",
    "gathered",
    "going_on",
    "going_on_line",
    "is_alive",
    "renew",
    "turn",
    "work",
]
