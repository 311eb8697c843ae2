"""The error that a user can correct."""


class UserError(Exception):
    """A mistake that the user can correct. Its message is one line that says what is wrong and what to do.

    Commands print it without a traceback and exit with status 2.
    """
