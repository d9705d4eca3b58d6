"""What the batch pipeline carries: a request to an endpoint of this server in, the endpoint's answer out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """One request. body: JSON, or what `media` says. owner: whose it is.

    key: the id of the issued key that it came with, "": none. id: the answer's request id.
    """

    path: str
    body: bytes
    owner: str
    key: str
    id: str
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """The answer: its HTTP status and its JSON. retry_after_s: of 429 and 503, when to ask again."""

    status: int
    body: bytes
    retry_after_s: float = 1.0


class EndpointCaller(ABC):
    """What asks this server's own endpoints, without a socket; a resource of a process that serves."""

    @abstractmethod
    async def call(self, request: EndpointRequest, *, priority: int) -> EndpointAnswer:
        """Return an endpoint's answer, an error's too."""

    @abstractmethod
    def live(self, path: str) -> int:
        """Return how many requests of others the pipeline behind a path answers now."""
