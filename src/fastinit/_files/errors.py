"""The error for what a user can correct."""


class RefusedError(Exception):
    """An error whose message says, in one line, what the user has to change."""
