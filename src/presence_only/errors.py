"""The mistakes that a user can make and mend; a stage reports one as a sentence, without a traceback."""


class UserError(Exception):
    """Something outside the code is wrong; the message is one sentence that says what, and the rule."""
