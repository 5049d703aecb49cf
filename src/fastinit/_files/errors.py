"""The error that a user can mend."""


class RefusedError(Exception):
    """What the user has to change, in one line."""
