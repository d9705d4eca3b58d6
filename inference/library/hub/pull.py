"""A model from the hub into the models folder: complete and checked, or not at all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from fastembed.inference.library.hub.checks import check_room
from fastembed.inference.library.hub.client import Hub, HubRefused
from fastembed.inference.library.hub.gathering import (
    Pulled,
    Watcher,
    alone,
    gather,
    gathered,
    land,
    partial_of,
    recorded,
)
from fastembed.inference.library.hub.listing import Listing, RemoteFile, needed
from fastembed.inference.library.hub.onnx import convert_onnx
from fastembed.inference.library.hub.reference import Reference
from fastembed.inference.library.hub.transfer import Pause, Transfer


def pull(
    hub: Hub,
    reference: Reference,
    watcher: Watcher,
    *,
    include: Sequence[str] = (),
    update: bool = False,
    folder: Path | None = None,
    pause: Pause = time.sleep,
) -> Pulled:
    """Download a repository into its folder, unless it is there. update: also when it is there at another commit.

    folder: instead of its own. An ONNX file is converted.

    HubRefused, HubUnreachable, UnusableRepository, WrongChecksum, DiskFull, Busy. What came before one of them is kept,
    and the next call goes on from there.
    """
    folder = folder or reference.folder
    here = folder.is_dir() and any(folder.iterdir())
    if here and not (update and not hub.offline):
        return Pulled(folder, recorded(folder).get("commit"), fresh=False)
    if hub.offline:
        raise HubRefused(f"found no files of {reference} in {folder} while HF_HUB_OFFLINE is set, expected them there")
    with alone(folder, str(reference)), hub.connect() as client:
        listing = hub.list(client, reference)
        if folder.is_dir() and recorded(folder).get("commit") == listing.commit:
            return Pulled(folder, listing.commit, fresh=False)
        transfer = Transfer(
            client,
            address=lambda file: hub.address(listing, file),
            accept=lambda answer: hub.accept(answer, reference),
            pause=pause,
        )
        return _download(transfer, listing, reference, watcher, folder=folder, include=include, endpoint=hub.endpoint)


def plan(hub: Hub, reference: Reference, include: Sequence[str] = ()) -> tuple[Listing, tuple[RemoteFile, ...]]:
    """Return what `pull` would download. HubRefused, HubUnreachable, UnusableRepository."""
    if hub.offline:
        raise HubRefused(f"HF_HUB_OFFLINE is set: unset it to download {reference}")
    with hub.connect() as client:
        listing = hub.list(client, reference)
    return listing, needed(listing, include)


def _download(
    transfer: Transfer,
    listing: Listing,
    reference: Reference,
    watcher: Watcher,
    *,
    folder: Path,
    include: Sequence[str],
    endpoint: str,
) -> Pulled:
    files = needed(listing, include)
    unchecked = next((file.path for file in files if not (file.sha256 or file.blob)), None)
    if unchecked:
        raise HubRefused(f"found no checksum of {unchecked} at {endpoint}, expected one; is HF_ENDPOINT a full mirror?")
    partial = partial_of(folder)
    have = sum(gathered(partial, file) for file in files)
    check_room(folder, files, have, str(reference))
    watcher.planned(f"{listing.repository} at {listing.commit[:12]}", files, have)
    for file in files:
        gather(transfer, watcher, partial / file.target, file)
    record = {
        "repository": reference.repository,
        "revision": reference.revision,
        "commit": listing.commit,
        "files": {file.target: {"bytes": file.size, "sha256": file.sha256, "git": file.blob} for file in files},
    }
    convert_onnx(partial)
    made = [] if (partial / "model.onnx").exists() else ["openvino_model.xml", "openvino_model.bin"]
    land(partial, folder, [*(file.target for file in files), *made], record)
    return Pulled(folder, listing.commit, fresh=True)
