"""The decision of `fastinit create`, as a table, without a disk."""

from dataclasses import replace
from itertools import product

import pytest

from fastinit._files.decide import Action, Content, Found, Record, Request, decide

NAMES = {
    "target": "dir/a.npy",
    "partial": "dir/a.npy.partial",
    "record": "dir/a.npy.json",
    "parent": "dir",
}
NONE, SOME, MOST = frozenset(), frozenset({"stddev"}), frozenset({"init", "shape"})
INIT, ALL = frozenset({"init", "seed"}), frozenset({"init", "shape", "seed"})
BEGIN, RESUME, PUBLISH, FINISHED = Action.BEGIN, Action.RESUME, Action.PUBLISH, Action.FINISHED
OPEN, COMPARE = Action.OPEN, Action.COMPARE
ABSENT, UNREAD, EMPTY, BLANK = Content.ABSENT, Content.UNREAD, Content.EMPTY, Content.BLANK
UNFINISHED, COMPLETE, FOREIGN = Content.UNFINISHED, Content.COMPLETE, Content.FOREIGN

EXISTS = "dir/a.npy exists: --overwrite replaces it"
PARTIAL_EXISTS = "dir/a.npy.partial exists: --resume goes on, --overwrite begins anew"
MADE_BEFORE = "dir/a.npy exists and there is no a.npy.partial, so it is finished; "
SEED, ALL_OPTIONS = "add --seed N", "give all options"
RANDOM, UNKNOWN = " and --seed N", ", and --seed N if values are random,"
COMPARED = " to check that it is the same"
NO_PARTIAL = "there is no dir/a.npy.partial to go on with"
NOT_OURS = (
    "dir/a.npy.partial was not begun by this command, or is damaged: "
    "--overwrite without --resume begins anew"
)
COMPLETE_ALONE = "dir/a.npy.partial is complete: --resume alone renames it; "

# What is found: the content of a.npy.partial, whether a.npy exists; what is asked: resume,
# overwrite, the options; then the action, or the message of the refusal.
TABLE = [
    # Nothing is there.
    (ABSENT, False, False, False, ALL, BEGIN),
    (ABSENT, False, False, False, NONE, BEGIN),  # that --init is missing shows when it begins
    (ABSENT, False, False, True, ALL, BEGIN),
    (ABSENT, False, True, False, ALL, BEGIN),
    (ABSENT, False, True, False, frozenset({"init"}), BEGIN),
    (ABSENT, False, True, False, NONE, NO_PARTIAL),
    (ABSENT, False, True, True, SOME, NO_PARTIAL),
    # The target exists alone.
    (ABSENT, True, False, False, ALL, EXISTS),
    (ABSENT, True, False, True, ALL, BEGIN),
    (ABSENT, True, True, False, NONE, MADE_BEFORE + ALL_OPTIONS + UNKNOWN + COMPARED),
    (ABSENT, True, True, False, INIT, MADE_BEFORE + ALL_OPTIONS + RANDOM + COMPARED),
    (ABSENT, True, True, False, MOST, MADE_BEFORE + SEED + COMPARED),
    (ABSENT, True, True, False, ALL, COMPARE),
    (ABSENT, True, True, True, ALL, BEGIN),
    (ABSENT, True, True, True, NONE, NO_PARTIAL),
    # The target exists beside a partial file, whatever that holds.
    *((c, True, r, False, o, EXISTS) for c in Content if c is not ABSENT
      for r in (False, True) for o in (NONE, ALL)),
    # A partial file has to be opened.
    *((UNREAD, False, r, w, o, OPEN)
      for r, w, o in product((False, True), (False, True), (NONE, ALL))),
    (UNREAD, True, True, True, NONE, OPEN),
    # Without --resume.
    (EMPTY, False, False, False, ALL, BEGIN),
    *((c, False, False, False, ALL, PARTIAL_EXISTS)
      for c in (BLANK, UNFINISHED, COMPLETE, FOREIGN)),
    *((c, t, False, True, ALL, BEGIN) for c in (EMPTY, BLANK, UNFINISHED, COMPLETE, FOREIGN)
      for t in (False, True)),
    # With --resume.
    *((c, False, True, w, o, BEGIN)
      for c, w, o in product((EMPTY, BLANK), (False, True), (NONE, ALL))),
    *((UNFINISHED, t, True, True, o, RESUME)
      for t in (False, True) for o in (NONE, SOME, MOST, ALL)),
    *((UNFINISHED, False, True, False, o, RESUME) for o in (NONE, SOME, MOST, ALL)),
    *((FOREIGN, False, True, w, o, NOT_OURS) for w in (False, True) for o in (NONE, ALL)),
    (COMPLETE, False, True, False, NONE, PUBLISH),
    (COMPLETE, True, True, True, NONE, PUBLISH),
    (COMPLETE, False, True, False, SOME, COMPLETE_ALONE + ALL_OPTIONS + UNKNOWN + COMPARED),
    (COMPLETE, False, True, False, INIT, COMPLETE_ALONE + ALL_OPTIONS + RANDOM + COMPARED),
    (COMPLETE, False, True, False, MOST, COMPLETE_ALONE + SEED + COMPARED),
    (COMPLETE, False, True, False, ALL, COMPARE),
]  # fmt: skip


def request_of(resume=False, overwrite=False, options=NONE, loses_seed=False):
    """Return a request for an initializer that has a seed."""
    takes_seed = True if "init" in options else None
    return Request(resume, overwrite, options, options >= ALL, loses_seed, takes_seed)


def outcome(request, found):
    decision = decide(request, found)
    assert bool(decision.message) == (decision.action is Action.REFUSE)
    return decision.message or decision.action


@pytest.mark.parametrize(("content", "exists", "resume", "overwrite", "options", "expected"), TABLE)
def test_the_table(content, exists, resume, overwrite, options, expected):
    found = Found(**NAMES, target_exists=exists, content=content)
    assert outcome(request_of(resume, overwrite, options), found) == expected
    # A lost seed refuses a beginning, and nothing else.
    lost = outcome(request_of(resume, overwrite, options, loses_seed=True), found)
    if expected is BEGIN:
        assert lost == "--quiet needs --seed: the drawn one would be lost"
    else:
        assert lost == expected


def test_every_combination_has_a_decision():
    """Whatever is found, BEGIN and PUBLISH never replace a target without --overwrite."""
    for content, exists, resume, overwrite, options, holds, published in product(
        Content, (False, True), (False, True), (False, True), (NONE, SOME, MOST, ALL),
        (None, False, True), (False, True),
    ):  # fmt: skip
        found = Found(
            **NAMES,
            target_exists=exists,
            content=content,
            holds_what_was_asked=holds,
            was_published=published,
        )
        decision = outcome(request_of(resume, overwrite, options), found)
        if exists and not overwrite:
            assert decision in (FINISHED, COMPARE) or isinstance(decision, str)
        if not resume:
            assert decision not in (RESUME, PUBLISH, FINISHED, COMPARE)
            if not overwrite:
                assert decision is not BEGIN or content in (ABSENT, EMPTY)
        if holds is not None:
            assert decision is not COMPARE
        if content is not UNREAD:
            assert decision is not OPEN


def test_a_comparison_decides():
    request = request_of(resume=True, options=ALL)
    found = Found(**NAMES, target_exists=True, holds_what_was_asked=True)
    assert outcome(request, found) is FINISHED
    found = Found(**NAMES, target_exists=True, holds_what_was_asked=False)
    message = "dir/a.npy exists and holds something else: --overwrite replaces it"
    assert outcome(request, found) == message
    found = Found(**NAMES, content=COMPLETE, holds_what_was_asked=True)
    assert outcome(request, found) is PUBLISH
    found = Found(**NAMES, content=COMPLETE, holds_what_was_asked=False)
    message = "dir/a.npy.partial is complete, but holds something else: --overwrite begins anew"
    assert outcome(request, found) == message


def test_a_run_that_was_killed_while_it_published():
    found = Found(**NAMES, target_exists=True, was_published=True)
    assert outcome(request_of(resume=True), found) is FINISHED
    assert outcome(request_of(resume=True, options=ALL), found) is COMPARE
    assert outcome(request_of(options=ALL), found) == EXISTS
    assert outcome(request_of(overwrite=True, options=ALL), found) is BEGIN


@pytest.mark.parametrize("resume", [False, True])
def test_places_where_no_file_can_be(resume):
    request = request_of(resume, overwrite=True, options=ALL)
    found = Found(**NAMES, target_is_directory=True, target_exists=True)
    assert outcome(request, found) == "dir/a.npy is a directory"
    found = Found(**NAMES, target_is_special=True, target_exists=True)
    assert outcome(request, found) == "dir/a.npy is no regular file"
    found = Found(**NAMES, has_parent=False)
    assert outcome(request, found) == "dir/a.npy: there is no directory dir"


def test_an_initializer_without_a_seed_needs_none():
    request = Request(resume=True, options=MOST, decides_values=True, takes_seed=False)
    assert outcome(request, Found(**NAMES, content=COMPLETE)) is COMPARE
    assert outcome(request, Found(**NAMES, target_exists=True)) is COMPARE
    request = Request(resume=True, options=frozenset({"init"}), takes_seed=False)
    message = outcome(request, Found(**NAMES, content=COMPLETE))
    assert message == COMPLETE_ALONE + ALL_OPTIONS + COMPARED
    message = outcome(request, Found(**NAMES, target_exists=True))
    assert message == MADE_BEFORE + ALL_OPTIONS + COMPARED


NO_RECORD = (
    "dir/a.npy.json is no record that create has written: move it away, or add --no-record to "
    "write none"
)
RECORD_EXISTS = "dir/a.npy.json exists: --overwrite replaces it"


@pytest.mark.parametrize(("content", "exists", "resume", "overwrite", "options", "expected"), TABLE)
def test_the_table_beside_a_record(content, exists, resume, overwrite, options, expected):
    """Whatever would write the file is refused where that would replace what it may not."""
    writes = expected in (BEGIN, RESUME, PUBLISH)
    for record, keeps in product(Record, (False, True)):
        found = Found(**NAMES, target_exists=exists, content=content, record_content=record)
        request = replace(request_of(resume, overwrite, options), keeps_record=keeps)
        message = None
        if record is Record.FOREIGN and keeps:
            message = NO_RECORD
        elif record is Record.OURS and not overwrite:
            message = RECORD_EXISTS
        assert outcome(request, found) == (message if writes and message else expected)
