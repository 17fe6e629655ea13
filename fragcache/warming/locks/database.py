"""A lock of the database's sessions: freed at once when its process ends, on whatever machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

from django.apps import apps
from django.db import Error, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from fragcache.exceptions import CacheUnavailable
from fragcache.keys import lock_key
from fragcache.records import pack_document, unpack_document
from fragcache.store import Store
from fragcache.warming.locks.base import Holder, LockUnavailable, name_of
from fragcache.warming.locks.cache import sealed_form


class Dialect(NamedTuple):
    """The statements of one vendor; ``%s`` is the lock."""

    prepare: tuple[str, ...]
    #: 1 where it was taken.
    acquire: str
    release: str
    #: The number of this session.
    session: str
    #: The number of the session that holds the lock, or nothing.
    holding: str


_POSTGRESQL: Final = Dialect(
    prepare=(
        "SET application_name = 'fragcache warm_fragments'",
        "SET idle_session_timeout = 0",
        # The session of a machine that is gone ends after a minute.
        "SET tcp_keepalives_idle = 30",
        "SET tcp_keepalives_interval = 10",
        "SET tcp_keepalives_count = 3",
    ),
    acquire="SELECT pg_try_advisory_lock(%s)::int",
    release="SELECT pg_advisory_unlock(%s)",
    session="SELECT pg_backend_pid()",
    holding=(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
        "AND (classid::bigint << 32 | objid::bigint) = %s "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ),
)
_MYSQL: Final = Dialect(
    prepare=("SET SESSION wait_timeout = 604800",),
    acquire="SELECT GET_LOCK(%s, 0)",
    release="SELECT RELEASE_LOCK(%s)",
    session="SELECT CONNECTION_ID()",
    holding="SELECT IS_USED_LOCK(%s)",
)
#: By ``connection.vendor``; MariaDB's is MySQL's.
DIALECTS: Final[Mapping[str, Dialect]] = {"postgresql": _POSTGRESQL, "mysql": _MYSQL}


def database_alias() -> str:
    """Return where locks are: where the runs are recorded."""
    # The processes of --parallel import this before the models may be.
    return router.db_for_write(apps.get_model("fragcache", "WarmRun"))


class DatabaseLock:
    """A lock that a connection of its own holds.

    Who holds it stands in the cache, with the number of the session: what was written for another
    session than the one that holds the lock does not count.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._note_key = lock_key("warm-session", store.room)
        self._alias = database_alias()
        shared = connections[self._alias]
        self._dialect = _dialect(shared)
        self._lock = _lock_of(store, shared)
        self._own: BaseDatabaseWrapper | None = None

    def acquire(self, holder: Holder) -> bool:
        own = _own_connection(self._alias)
        session = None
        try:
            with self._failures_named():
                for statement in self._dialect.prepare:
                    _value(own, statement)
                if _value(own, self._dialect.acquire, self._lock) == 1:
                    session = _value(own, self._dialect.session)
        finally:
            if session is None:
                own.close()
        if session is None:
            return False
        self._own = own
        payload = pack_document({"session": session, **holder._asdict()})
        with suppress(CacheUnavailable):  # the run itself will find out
            self._store.write_many({self._note_key: sealed_form(holder, payload)}, None)
        return True

    def release(self) -> None:
        assert self._own is not None
        with suppress(CacheUnavailable):
            self._store.delete_many([self._note_key])
        with suppress(Error):  # the database was restarted: the lock is gone already
            _value(self._own, self._dialect.release, self._lock)
        self._own.close()

    def holder(self) -> Holder | None:
        with self._failures_named():
            session = _value(connections[self._alias], self._dialect.holding, self._lock)
        if session is None:
            return None
        entry = self._store.read_many([self._note_key]).get(self._note_key)
        document = {} if entry is None else unpack_document(entry.payload)
        if document.get("session") != session:
            raise LockUnavailable(
                f"Session {session} of the database {self._alias!r} holds the lock; the cache "
                "does not say whose it is."
            )
        assert entry is not None
        return Holder.unpack(entry.payload)

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except Error as error:
            said = str(error).strip().partition("\n")[0]
            raise LockUnavailable(f"The database {self._alias!r} has no lock: {said}") from error


def unsupported(connection: BaseDatabaseWrapper) -> str:
    """Return why a database can hold no lock; "" where it can."""
    if connection.vendor in DIALECTS:
        return ""
    engine = connection.settings_dict["ENGINE"]
    return f"PostgreSQL, MySQL and MariaDB hold locks; {engine!r} does not."


def _value(connection: BaseDatabaseWrapper, statement: str, *parameters: int | str) -> Any:
    """Execute a statement; return the one value that it yields, if any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


def _dialect(connection: BaseDatabaseWrapper) -> Dialect:
    if problem := unsupported(connection):
        raise LockUnavailable(
            f"FRAGCACHE['LOCK'] is 'database'. {problem} Use 'cache', or 'file' where all runs "
            "are on one machine."
        )
    return DIALECTS[connection.vendor]


def _lock_of(store: Store, connection: BaseDatabaseWrapper) -> int | str:
    if connection.vendor == "mysql":  # whose databases share their locks
        return f"fragcache:{name_of(store, str(connection.settings_dict['NAME']))}"
    return int.from_bytes(bytes.fromhex(name_of(store)), signed=True)


def _own_connection(alias: str) -> BaseDatabaseWrapper:
    """Return a connection that nobody else uses, closes, or begins a transaction on."""
    own: BaseDatabaseWrapper = connections[alias].copy(f"{alias} of fragcache's lock")
    options = own.settings_dict["OPTIONS"]
    options.pop("pool", None)
    own.settings_dict |= {"AUTOCOMMIT": True, "ATOMIC_REQUESTS": False}
    return own
