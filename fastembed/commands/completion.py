"""What the shell offers after Tab: names of the folder's configuration and of the catalogue. It asks no server."""

from __future__ import annotations

from pathlib import Path


def complete_models(incomplete: str) -> list[str]:
    """Return the names of models that begin like this: `auto`, declared ones, those that ship, known ones."""
    from fastembed.inference.library.hub.known import KNOWN
    from fastembed.inference.library.shipped import shipped

    names = ["auto", *_keys("models"), *shipped(), *(model.name for model in KNOWN)]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def complete_pipelines(incomplete: str) -> list[str]:
    """Return the names of the folder's pipelines that begin like this."""
    return [name for name in _keys("pipelines") if name.startswith(incomplete)]


def _keys(section: str) -> list[str]:
    """Return the names in a section of the pipelines.yaml here; none where it cannot be read."""
    import yaml

    try:
        found = yaml.safe_load(Path("pipelines.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    entries = found.get(section) if isinstance(found, dict) else None
    return [name for name in entries if isinstance(name, str)] if isinstance(entries, dict) else []
