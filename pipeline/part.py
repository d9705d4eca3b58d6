"""One component of a running pipeline: the instance and the entry points that the engine calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from fastembed.pipeline.capabilities import Capabilities, read_capabilities
from fastembed.pipeline.component import Context, Progress
from fastembed.pipeline.errors import FastEmbedError
from fastembed.pipeline.spec import Spec


@dataclass(slots=True)
class Part:
    """A planned component and its instance. capabilities: as the instance declares them."""

    id: str
    spec: Spec
    instance: Any
    capabilities: Capabilities

    @property
    def owner(self) -> Any:
        """Return the object with the declared methods: the instance, or the function without its bound options."""
        return self.instance if inspect.isclass(self.spec.factory) else self.spec.factory

    @property
    def call(self) -> Callable[..., Any]:
        """Return the entry point for items: a source's `items`, an operator, a sink's `write`."""
        if not inspect.isclass(self.spec.factory) or self.spec.role == "operator":
            return cast("Callable[..., Any]", self.instance)
        return cast("Callable[..., Any]", self.instance.items if self.spec.role == "source" else self.instance.write)

    async def open(self, context: Context) -> None:
        """Call the component's `open`, if it has one."""
        if self.capabilities.open:
            await self.owner.open(replace(context, step=self.id))

    async def close(self) -> None:
        """Call the component's `close`, if it has one."""
        if self.capabilities.close:
            await self.owner.close()

    def progress(self) -> Progress | None:
        """Return the source's progress; None if it reports none."""
        return self.owner.progress() if self.capabilities.progress else None

    def stop(self) -> None:
        """Call the source's `stop`, if it has one: it admits no more items."""
        if self.capabilities.stop:
            self.owner.stop()


def make(plan_id: str, spec: Spec, options: Mapping[str, Any]) -> Part:
    """Make a component: an instance of its class, or its function with the options bound.

    FastEmbedError if its constructor declares something of it that cannot be.
    """
    if not inspect.isclass(spec.factory):
        function = functools.partial(spec.factory, **options) if options else spec.factory
        return Part(plan_id, spec, function, spec.capabilities)
    instance = spec.factory(**options)
    capabilities, problems = read_capabilities(instance, spec.role)
    if problems:
        raise FastEmbedError("; ".join(problems))
    return Part(plan_id, spec, instance, capabilities)
