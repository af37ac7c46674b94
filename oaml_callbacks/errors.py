"""[`UserError`]: what a user can mend."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in what was given: says what is wrong, what was expected, and what to do. `oaml` exits with 2."""
