"""What `fastinit create` does, decided from what it finds and what it was asked for.

Nothing here touches a disk; tests/test_decide.py checks the whole table of decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Content(Enum):
    """What NAME.partial holds."""

    ABSENT = auto()  # there is no such file
    UNREAD = auto()  # there is one, not yet opened
    EMPTY = auto()
    BLANK = auto()  # only zeros: a loss of power took what a run had written early
    UNFINISHED = auto()  # a trailer says what an earlier run was asked for
    COMPLETE = auto()  # only its name is wrong
    FOREIGN = auto()  # another program's, or damaged


class Record(Enum):
    """The kind of file that has the name of the record."""

    ABSENT = auto()
    OURS = auto()  # the record of a file, which may be gone
    FOREIGN = auto()  # another program's, or damaged


class Action(Enum):
    """The step that `fastinit create` takes next."""

    BEGIN = auto()
    RESUME = auto()
    PUBLISH = auto()  # rename a complete NAME.partial to NAME
    FINISHED = auto()  # nothing is left to do
    REFUSE = auto()
    OPEN = auto()  # open NAME.partial, then decide again
    COMPARE = auto()  # compare the finished file with what was asked for, then decide again


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    resume: bool = False
    overwrite: bool = False
    options: frozenset[str] = frozenset()  # names of the options that were given
    decides_values: bool = False  # --init and --shape are given, and a seed where one is needed
    loses_seed: bool = False  # a seed is drawn, and would be neither printed nor written
    takes_seed: bool | None = None  # whether the initializer takes one; None: none is named
    keeps_record: bool = True  # a file beside NAME will contain the record


@dataclass(frozen=True)
class Found:
    """What is there."""

    target: str  # the names, for messages
    partial: str
    parent: str
    record: str = ""
    has_parent: bool = True
    target_is_directory: bool = False
    target_is_special: bool = False  # a pipe, a socket, a device
    target_exists: bool = False
    was_published: bool = False  # both names were one file: a run was killed in publish()
    content: Content = Content.ABSENT
    record_content: Record = Record.ABSENT
    holds_what_was_asked: bool | None = None  # of the finished file; None: not yet compared


@dataclass(frozen=True)
class Decision:
    """An action, and for REFUSE the reason."""

    action: Action
    message: str = ""


def foreign(record: str) -> str:
    """Return the message about a file that has the name of the record but is not a record."""
    return (
        f"{record} is no record that create has written: move it away, or add --no-record to "
        "write none"
    )


def _refuse(message: str) -> Decision:
    return Decision(Action.REFUSE, message)


def decide(request: Request, found: Found) -> Decision:
    """Return the decision for a request and what was found."""
    decision = _decide(request, found)
    if decision.action in (Action.BEGIN, Action.RESUME, Action.PUBLISH):
        if found.record_content is Record.FOREIGN and request.keeps_record:
            return _refuse(foreign(found.record))
        # The record may be the only place that has the seed.
        if found.record_content is Record.OURS and not request.overwrite:
            return _refuse(f"{found.record} exists: --overwrite replaces it")
    return decision


def _decide(request: Request, found: Found) -> Decision:
    if found.target_is_directory:
        return _refuse(f"{found.target} is a directory")
    if found.target_is_special:
        return _refuse(f"{found.target} is no regular file")
    if not found.has_parent:
        return _refuse(f"{found.target}: there is no directory {found.parent}")
    if found.was_published and request.resume and not request.options:
        return Decision(Action.FINISHED)
    if found.target_exists and not request.overwrite:
        return _decide_beside_target(request, found)
    if found.content is Content.UNREAD:
        return Decision(Action.OPEN)
    if request.resume:
        return _decide_resume(request, found)
    if found.content not in (Content.ABSENT, Content.EMPTY) and not request.overwrite:
        return _refuse(f"{found.partial} exists: --resume goes on, --overwrite begins anew")
    return _begin(request)


def _begin(request: Request) -> Decision:
    if request.loses_seed:
        return _refuse("--quiet needs --seed: the drawn one would be lost")
    return Decision(Action.BEGIN)


def _compared(found: Found, if_equal: Action, message: str) -> Decision:
    """Return the decision where the finished file must hold what was asked for."""
    if found.holds_what_was_asked is None:
        return Decision(Action.COMPARE)
    return Decision(if_equal) if found.holds_what_was_asked else _refuse(message)


def _to_compare(request: Request) -> str:
    """Return what to do so that a finished file is compared."""
    given = "give all options"
    if request.takes_seed and request.options >= {"init", "shape"}:
        given = "add --seed N"
    elif request.takes_seed:
        given += " and --seed N"
    elif request.takes_seed is None:
        given += ", and --seed N if values are random,"
    return f"{given} to check that it is the same"


def _decide_beside_target(request: Request, found: Found) -> Decision:
    """Return the decision where the target exists and may not be replaced."""
    if request.resume and found.content is Content.ABSENT:
        if not request.decides_values:
            name = found.partial.rpartition("/")[2]
            return _refuse(
                f"{found.target} exists and there is no {name}, so it is finished; "
                f"{_to_compare(request)}"
            )
        message = f"{found.target} exists and holds something else: --overwrite replaces it"
        return _compared(found, Action.FINISHED, message)
    return _refuse(f"{found.target} exists: --overwrite replaces it")


def _decide_resume(request: Request, found: Found) -> Decision:
    if found.content is Content.ABSENT and not request.options & {"init", "shape"}:
        return _refuse(f"there is no {found.partial} to go on with")
    if found.content in (Content.ABSENT, Content.EMPTY, Content.BLANK):
        return _begin(request)
    if found.content is Content.UNFINISHED:
        return Decision(Action.RESUME)
    if found.content is Content.FOREIGN:
        return _refuse(
            f"{found.partial} was not begun by this command, or is damaged: "
            "--overwrite without --resume begins anew"
        )
    if not request.options:
        return Decision(Action.PUBLISH)
    if not request.decides_values:
        return _refuse(
            f"{found.partial} is complete: --resume alone renames it; {_to_compare(request)}"
        )
    message = f"{found.partial} is complete, but holds something else: --overwrite begins anew"
    return _compared(found, Action.PUBLISH, message)
