"""Why a call of the media libraries failed, in a few words.

Not for: raising anything.
"""

from __future__ import annotations


def reason_of(error: Exception) -> str:
    """The last thing that the library logged, or what the error says."""
    log = getattr(error, "log", None)
    return str(log[2]).strip() if log else str(getattr(error, "strerror", None) or error)
