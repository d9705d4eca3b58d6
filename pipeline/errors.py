"""Everything that can go wrong, in one tree; the type says whose fault it is.

    FastEmbedError
    ├── ConfigError               the configuration file's author: every problem at once, each with its place
    └── ItemError                 one item; `status` is its HTTP status
        ├── InvalidInput 400      the caller sent something that cannot be right
        │   ├── TooLarge 413
        │   ├── UnsupportedMedia 415
        │   └── Unprocessable 422     right in form, impossible in content (an encrypted PDF, an empty clip)
        ├── Unauthenticated 401
        ├── Forbidden 403
        ├── NotFound 404
        │   └── ModelNotFound     names the command that gets the model
        ├── Conflict 409
        ├── Overloaded 429        a bounded queue is full; `retry_after_s` says when to come back
        ├── Unavailable 503       starting, draining, a breaker is open
        │   └── FileChanged           the file is another one than was to be processed; its source brings it again
        ├── Expired 504           a deadline or a step's timeout passed
        └── StepFailed 500        an operator or a sink raised; carries step, attempts and configuration hash

Messages say what was found and what was expected. A `StepFailed` never shows its cause to a remote caller: the HTTP
boundary prints "internal error" and the request id, the log prints the cause.
"""

from __future__ import annotations

from typing import ClassVar


class FastEmbedError(Exception):
    """The root: catch it to catch everything that this project raises on purpose."""


class ConfigError(FastEmbedError):
    """The configuration cannot be used; the message lists every problem as `file:line:column: text`."""

    def __init__(self, problems: list[str]) -> None:
        """Join the problems, one a line, in file order."""
        self.problems = problems
        super().__init__("\n".join(problems))


class ItemError(FastEmbedError):
    """One item cannot be processed; other items go on."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str | None = None

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        """Store the message: what was found and expected. param: the request field at fault (OpenAI error object)."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code


class InvalidInput(ItemError):
    """The caller sent something that cannot be right."""

    status = 400
    type = "invalid_request_error"


class TooLarge(InvalidInput):
    """More bytes, seconds, pages or entries than the limit that the message names."""

    status = 413


class UnsupportedMedia(InvalidInput):
    """A format that nothing here reads."""

    status = 415


class Unprocessable(InvalidInput):
    """Right in form, impossible in content."""

    status = 422


class Unauthenticated(ItemError):
    """No key, or a wrong one."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(ItemError):
    """A known caller who may not do this."""

    status = 403
    type = "permission_error"


class NotFound(ItemError):
    """Nothing has this name."""

    status = 404
    type = "not_found_error"


class ModelNotFound(NotFound):
    """No such model, or its files are not on this machine; the message names the command that gets it."""

    code = "model_not_found"


class Conflict(ItemError):
    """The resource is in a state that does not allow this."""

    status = 409
    type = "conflict_error"


class Overloaded(ItemError):
    """A bounded queue is full; come back after `retry_after_s` seconds."""

    status = 429
    type = "rate_limit_error"


class Unavailable(ItemError):
    """Not now: starting, draining, or a breaker is open."""

    status = 503
    type = "server_error"


class FileChanged(Unavailable):
    """The file has changed since its content was hashed: what was read may be something else."""


class Expired(ItemError):
    """The item's deadline or a step's timeout passed."""

    status = 504
    type = "server_error"


class StepFailed(ItemError):
    """A step raised something unexpected; `__cause__` is what it raised. `traced`: the log has its trace already."""

    traced = False

    def __init__(self, step: str, cause: BaseException, *, attempts: int = 1, config_hash: str = "") -> None:
        """Name the step, its attempts and the configuration that it ran under."""
        super().__init__(f"{step}: {type(cause).__name__}: {cause}")
        self.step = step
        self.attempts = attempts
        self.config_hash = config_hash
        self.__cause__ = cause
