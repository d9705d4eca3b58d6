"""The one error that OpenAI's client does not have: no server is there. The others are its own (`openai.APIError`)."""

from __future__ import annotations

import os

from openai import APIConnectionError, APITimeoutError


class ServerUnreachable(APIConnectionError):
    """Nothing answers at the address; the message says which, why, and what starts a server."""


def unreachable(error: APIConnectionError, url: str) -> APIConnectionError:
    """Return the error to raise: one that says what to do, or a timeout as it is."""
    if isinstance(error, APITimeoutError):
        return error
    message = f"no server answers at {url} ({_reason(error)}); start one with: fastembed serve"
    return ServerUnreachable(message=message, request=error.request)


def _reason(error: BaseException) -> str:
    """Return what the system said: the innermost cause, which layers of libraries have wrapped."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
