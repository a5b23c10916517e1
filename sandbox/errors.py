"""The two ways in which things go wrong that a person hears of.

`UsageError`: something a person gave us cannot be used; the message is a whole sentence that says
what, in whose file, and what to do. The command line prints it and exits with code 2.

`HarnessError`: the harness or the machine failed, not the code that was being judged. Never a
reward of any kind; the command line exits with code 3.
"""


class UsageError(Exception):
    """Bad input; `str(error)` is the sentence for the person."""


class HarnessError(Exception):
    """The harness or the machine failed; `str(error)` is the sentence for the person."""
