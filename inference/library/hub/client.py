"""The hub over HTTP: what a repository holds, and what its refusals mean.

huggingface_hub finds the token, names the addresses and sorts the errors. It does not list or download here: its own
requests ask the hub for a registry first, to tell it which program is calling, and its downloads start from zero when
they are run again (2.4: a partial file is deleted at the end of a failed call).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

import httpx2

from fastembed.inference.library.hub.listing import Listing, RemoteFile
from fastembed.inference.library.hub.reference import Reference
from fastembed.pipeline.errors import FastEmbedError

_PUBLIC: Final = "https://huggingface.co"
_TIMEOUT: Final = httpx2.Timeout(30, connect=10)
_YES: Final = frozenset({"1", "on", "yes", "true"})


class HubRefused(FastEmbedError):
    """The hub does not give it; the message says what to do."""


class HubUnreachable(FastEmbedError):
    """No answer, or the connection was lost; what came so far is kept."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Which hub, and the token for it. offline: send no request."""

    endpoint: str = _PUBLIC
    token: str | None = None
    offline: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Hub:
        """Read HF_ENDPOINT, HF_HUB_OFFLINE, and the token of HF_TOKEN or of `hf auth login`."""
        offline = environ.get("HF_HUB_OFFLINE", "").lower() in _YES
        return cls((environ.get("HF_ENDPOINT") or _PUBLIC).rstrip("/"), None if offline else _token(), offline)

    def connect(self) -> httpx2.Client:
        """Return a client that shows the token to this hub only: redirects to other hosts go without it."""
        headers = {"user-agent": f"fastembed-multimodal/{version('fastembed-multimodal')}"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return httpx2.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=True)

    def list(self, client: httpx2.Client, reference: Reference) -> Listing:
        """Ask what a repository holds. HubRefused, HubUnreachable."""
        url = f"{self.endpoint}/api/models/{reference.repository}"
        if reference.revision:
            url += f"/revision/{quote(reference.revision, safe='')}"
        try:
            answer = client.get(url, params={"blobs": "true"})
        except httpx2.TransportError as error:
            raise self.unreachable(error) from error
        self.accept(answer, reference)
        return _read(reference, self._json(answer))

    def address(self, listing: Listing, file: RemoteFile) -> str:
        """Return where a file's content is, at the listing's commit."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(listing.repository, file.path, revision=listing.commit, endpoint=self.endpoint)

    def accept(self, answer: httpx2.Response, reference: Reference) -> None:
        """Raise HubRefused unless the answer is good; its body is read."""
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined] # documented there

        try:
            hf_raise_for_status(answer)
        except HfHubHTTPError as error:
            raise HubRefused(self._meaning(error, reference)) from error

    def unreachable(self, error: Exception) -> HubUnreachable:
        """Return the error for no answer at all."""
        reason = str(error) or type(error).__name__
        return HubUnreachable(
            f"found no answer of {self.endpoint} ({reason}), expected a hub; HF_ENDPOINT names another"
        )

    def _meaning(self, error: Any, reference: Reference) -> str:
        from huggingface_hub import errors

        status, page = error.response.status_code, f"{self.endpoint}/{reference.repository}"
        if isinstance(error, errors.GatedRepoError) or (status == HTTPStatus.FORBIDDEN and self.token):
            if self.token:
                return (
                    f"found a token whose owner may not read {reference}, expected one who accepted its terms at {page}"
                )
            return (
                f"found no token, expected one for {reference}, which is gated: accept its terms at {page}, "
                "make a token there (Settings, Access Tokens) and set HF_TOKEN"
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return f"found no revision {reference.revision} of {reference.repository}, expected a commit, tag or branch"
        if isinstance(error, errors.RemoteEntryNotFoundError):
            return f"found no file at {error.response.request.url}, expected the listed one: {page}/tree/main"
        if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403, 404):
            return f"found no {reference.repository} on {self.endpoint}, expected a repository; {self._hint(status)}"
        return f"found status {status} from {self.endpoint}, expected 200; try again later"

    def _hint(self, status: int) -> str:
        if self.token:
            return "check the name, and that the token (HF_TOKEN) is valid and may see it"
        return "check the name; a private one needs HF_TOKEN" + (
            " (the hub asks who you are)" if status == HTTPStatus.UNAUTHORIZED else ""
        )

    def _json(self, answer: httpx2.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError as error:
            raise HubRefused(
                f"found no JSON at {answer.request.url}, expected a hub's answer; check HF_ENDPOINT"
            ) from error
        if not isinstance(found, dict) or "siblings" not in found or "sha" not in found:
            raise HubRefused(
                f"found no list of files at {answer.request.url}, expected a hub's answer; check HF_ENDPOINT"
            )
        return found


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def _read(reference: Reference, found: dict[str, Any]) -> Listing:
    from huggingface_hub import ModelInfo

    info = ModelInfo(**{"id": reference.repository, **found})  # type: ignore[no-untyped-call] # theirs
    files = tuple(
        RemoteFile(
            path=file.rfilename,
            size=file.size or 0,
            sha256=file.lfs.sha256 if file.lfs else None,
            blob=file.blob_id,
        )
        for file in info.siblings or ()
    )
    return Listing(reference.repository, str(info.sha), files)
