"""The error tree of the project: every error that a user can meet is one of these.

Each error carries one line that says what is wrong, where, and what to do next. `exit_code` is what
the command line returns for it. Third-party errors are wrapped where they occur, with
`raise ... from`.
Not for: programming errors, which stay `ValueError`, `TypeError` and the like.

    FarmError
    ├── InputError          (2)  the user's file is not what it must be
    │   └── MediaError      (2)  a media file cannot be read or holds nothing to render
    ├── SettingsError       (2)  an option is unknown, out of range or contradicts another
    ├── SetupError          (3)  something that must be installed or reachable is not
    │   ├── ModelError      (3)  a model file is missing, damaged or of the wrong kind
    │   ├── ProviderError   (3)  an execution provider did not load
    │   └── ClusterError    (3)  Ray cannot be started or reached
    ├── JobError            (1)  a render that had begun could not be finished
    │   ├── BusyError       (1)  another command works on the same job
    │   ├── ChunkError      (1)  one chunk could not be rendered
    │   │   └── EncoderError (1) its encoder refused to open, broke, or made something else
    │   └── VerifyError     (1)  the finished file is not what was rendered
    ├── ContentError        (5)  the content filter refuses what the pictures show
    ├── Interrupted         (130) the user stopped the command
    └── DamagedSource       (4)  finished, but parts of the source did not decode
"""

from __future__ import annotations

from typing import ClassVar


class FarmError(Exception):
    """Base of all errors that are reported to the user as one line.

    The only argument is the message, so that every error survives pickling between processes.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        """The line that the user reads."""
        return str(self.args[0])


class InputError(FarmError):
    """A file that the user named cannot be used."""

    exit_code = 2


class MediaError(InputError):
    """A media file cannot be opened, demuxed or decoded, or has no video."""


class SettingsError(FarmError):
    """An option is unknown, out of range, or contradicts another one."""

    exit_code = 2


class SetupError(FarmError):
    """A library, program, device or service that the job needs is missing."""

    exit_code = 3


class ModelError(SetupError):
    """A model file is missing, damaged, unverified, or not the kind that was asked for."""


class ProviderError(SetupError):
    """An execution provider was asked for and did not load."""


class ClusterError(SetupError):
    """Ray could not be started, reached or joined."""


class JobError(FarmError):
    """A job that had started could not be finished."""


class BusyError(JobError):
    """Another command works on the same job; once it has ended, this one may be tried again."""


class ChunkError(JobError):
    """A chunk could not be rendered."""


class EncoderError(ChunkError):
    """An encoder could not be opened, failed, or made something else than it was given.

    Another worker may have more luck with the chunk; if none has, the job takes the next encoder.
    """


class VerifyError(JobError):
    """The finished file does not show what was rendered; it was not put in place."""


class ContentError(FarmError):
    """The content filter, which was asked for, refuses a target or a source."""

    exit_code = 5


class Interrupted(FarmError):  # noqa: N818 - says what happened, and nothing went wrong
    """The user stopped the command."""

    exit_code = 130


class DamagedSource(FarmError):  # noqa: N818 - the output is there
    """The output is complete as far as the source decodes; the message lists what is missing."""

    exit_code = 4
