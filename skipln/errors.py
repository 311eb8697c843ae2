"""The error a user can mend."""


class UserError(Exception):
    """Something the user can mend: its message is one line that says what is wrong and what to do.

    Commands print it without a traceback and exit with status 2.
    """
