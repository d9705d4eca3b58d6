"""A model on a device that may answer a request, and the words on the way to it.

A request's way from `models:` to an answer:

    ModelSpec       what `models:` says of a model (library.specs)
    LocatedModel    with its folder and its task (library.catalog)
    ModelCard       what lists of models show of it, loaded or not (library.catalog)
    ModelOffer      what the router knows of it: abilities, window, devices that are there (routing.offers)
    ModelPlacement  an offer on one device that can answer this request (routing.placing)
    Candidate       a placement that was chosen: those of a decision stand in order, best first
    Attempt         a candidate that is being asked (resilience.attempts)
    Resident        a model on a device as memory is planned, loaded or not (residency.residents)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on a device (OpenVINO's name). pocket: a tiny one, which answers where nothing real can.

    hears: it takes sound as it is; others get it as text, from the decision's `transcriber`. lesser: unlike the
    decision's first, it was not made for the request: it answers where that one fails, not where it is only busy.
    """

    model: str
    device: str
    pocket: bool = False
    hears: bool = False
    lesser: bool = False
