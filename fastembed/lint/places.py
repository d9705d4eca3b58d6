"""Reports folders and databases that two pipelines, or two parts of one, cannot share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from fastembed.inference.library.catalog import AUTO, Catalog, LocatedModel
from fastembed.operators.embed import Embed
from fastembed.pipeline.config.guarantees import operators, sinks
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.plan import Configuration, PipelinePlan, SinkPlan
from fastembed.sinks.duckdb import Duckdb
from fastembed.sinks.folder import Folder as FailureFolder
from fastembed.sources.folder import Folder
from fastembed.sources.watching.pattern import alternatives, any_of, may_meet, sample

Table = tuple[Path, str]


@dataclass(frozen=True, slots=True)
class _Inbox:
    """A watched folder. root: its real path. globs: what it takes. moves: files leave it when they are processed."""

    plan: PipelinePlan
    root: Path
    globs: Sequence[str]
    ignore: Sequence[str]
    moves: bool


def check_places(configuration: Configuration, catalog: Catalog, problems: Problems) -> None:
    """Report folders that are read twice for one table, folders that are fed back, and tables of two models."""
    inboxes = [inbox for plan in configuration.pipelines.values() if (inbox := _inbox(plan))]
    for one, other in combinations(inboxes, 2):
        _check_pair(one, other, problems)
    for inbox in inboxes:
        _check_ways_back(inbox, problems)
        _check_databases(inbox, configuration, problems)
    _check_tables(configuration, catalog, problems)


def _inbox(plan: PipelinePlan) -> _Inbox | None:
    if plan.source.component.factory is not Folder:
        return None
    options = plan.source.options
    done: Path | None = options.get("done")
    return _Inbox(
        plan,
        _real(plan, options["path"]),
        alternatives(options["match"]),
        options["ignore"],
        moves=done is not None,
    )


def _check_pair(one: _Inbox, other: _Inbox, problems: Problems) -> None:
    outer, inner = (one, other) if other.root.is_relative_to(one.root) else (other, one)
    if not _share_files(outer, inner):
        return
    place, names = other.plan.source.place, f"{one.plan.name} and {other.plan.name}"
    if one.moves or other.moves:
        problems.add(
            place,
            f"found {names} on the files of one folder, {inner.root}, and `done`, which takes them from the other, "
            "expected a folder for each, no `done`, or a `match` that keeps them apart",
        )
    elif both := _tables(one.plan) & _tables(other.plan):
        path, table = next(iter(both))
        problems.add(
            place,
            f"found {names} on the files of one folder, {inner.root}, for one table, {table} of {path.name}: each file "
            "would be there twice; expected another table or folder, or a `match` that keeps them apart",
        )


def _share_files(outer: _Inbox, inner: _Inbox) -> bool:
    """Whether a file of the inner folder may be one of the outer folder's too."""
    if not inner.root.is_relative_to(outer.root):
        return False
    way = inner.root.relative_to(outer.root).as_posix()
    prefix = "" if way == "." else f"{way}/"
    ignored = any_of(outer.ignore)
    return any(
        may_meet(theirs, prefix + glob)
        and not ignored(prefix + sample(glob))
        and not any_of(inner.ignore)(sample(glob))
        for theirs in outer.globs
        for glob in inner.globs
    )


def _check_ways_back(inbox: _Inbox, problems: Problems) -> None:
    """Report a `done` or `on_error` folder that is the watched folder itself."""
    plan, done = inbox.plan, inbox.plan.source.options.get("done")
    if done is not None and _real(plan, done) == inbox.root:
        problems.add(plan.source.place, f"found done: {done}, the watched folder itself, expected another folder")
    failures = plan.on_error
    if failures is None or failures.component.factory is not FailureFolder:
        return
    root = _real(plan, failures.options["path"])
    if root == inbox.root:
        problems.add(failures.place, f"found on_error: {root}, the watched folder itself, expected another folder")
    elif done is not None and root == _real(plan, done):
        problems.add(failures.place, f"found on_error: {root}, where `done` puts files too, expected another folder")


def _check_databases(inbox: _Inbox, configuration: Configuration, problems: Problems) -> None:
    """Report a database that the folder's pipeline would take for one of its documents."""
    takes, ignored = any_of(inbox.globs), any_of(inbox.ignore)
    for plan in configuration.pipelines.values():
        for sink in _databases(plan):
            path, _ = _table(plan, sink)
            if not path.is_relative_to(inbox.root):
                continue
            name = path.relative_to(inbox.root).as_posix()
            if takes(name) and not ignored(name):
                problems.add(
                    sink.place,
                    f"found the database {path.name} among the files that {inbox.plan.name} reads, {inbox.root}, "
                    "expected it elsewhere, or a `match` that leaves it out",
                )


def _check_tables(configuration: Configuration, catalog: Catalog, problems: Problems) -> None:
    """Report a table that chunks of two embedding models go to: their vectors cannot be compared."""
    written: dict[Table, tuple[LocatedModel, str]] = {}
    for plan in configuration.pipelines.values():
        models = _models(plan, catalog)
        for sink in _databases(plan):
            table = _table(plan, sink)
            for model in models:
                before, of = written.setdefault(table, (model, plan.name))
                if before.folder != model.folder:
                    problems.add(
                        sink.place,
                        f"found vectors of {model.name} and, in {of}, of {before.name} for the table {table[1]}, "
                        "expected one table for each model: vectors of two models cannot be compared",
                    )


def _models(plan: PipelinePlan, catalog: Catalog) -> list[LocatedModel]:
    found = []
    for step in operators(plan.steps):
        if step.component.factory is Embed:
            try:
                found.append(catalog.place(step.options.get("model", AUTO), "embedding"))
            except ItemError:  # there is none: said elsewhere
                continue
    return found


def _tables(plan: PipelinePlan) -> set[Table]:
    return {_table(plan, sink) for sink in _databases(plan)}


def _table(plan: PipelinePlan, sink: SinkPlan) -> Table:
    return _real(plan, sink.options["path"]), sink.options["table"]


def _databases(plan: PipelinePlan) -> Iterator[SinkPlan]:
    return (sink for sink in sinks(plan) if sink.component.factory is Duckdb)


def _real(plan: PipelinePlan, path: Path) -> Path:
    return (plan.base / path.expanduser()).resolve()
