"""Errors that a user can mend; a stage reports one as a sentence, without a traceback."""

from __future__ import annotations

from presence_only.common.quoting import one_sentence


class UserError(Exception):
    """Something outside the code is wrong; the message is one sentence that says what, and the rule."""


class TrainingError(UserError, RuntimeError):
    """Training went wrong; the message is one sentence with what was seen and what helps."""


class DivergenceError(TrainingError):
    """Training diverged, so that there is no result; the message is one sentence with the setting that did it."""


class DataError(UserError, ValueError):
    """A data set is wrong; the message is one sentence with what was found and the rule."""


class SettingsError(UserError, ValueError):
    """A setting is wrong; the message is one sentence with the key, the value and the rule.

    Args:
        message: The sentence. Keys and values of a file may be of any length and hold any character: what is too long
            is cut in the middle, so that the key in front and the rule at the end stay.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_sentence(message))


class ExecutionError(UserError, RuntimeError):
    """What runs tasks went wrong; the message is one sentence with what was seen and what helps."""
