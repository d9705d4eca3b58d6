"""Problems of the environment that may pass: a file system that is not mounted, a full disk."""

from __future__ import annotations

from collections.abc import Mapping

from fastembed.pipeline.component import Resources


class Health:
    """The problems of a process by their subject, for readiness and status. One problem a subject.

    Advice stands beside them where people look, and changes no readiness and no exit code.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._problems: dict[str, str] = {}
        self._advice: dict[str, str] = {}

    @classmethod
    def of(cls, resources: Resources) -> Health:
        """Return the process's health, offering one where there is none yet."""
        health = resources.find(cls)
        if health is None:
            health = cls()
            resources.add(health)
        return health

    def report(self, subject: str, problem: str) -> None:
        """Set the problem of `subject` (`pipeline papers`); "" clears it."""
        if problem:
            self._problems[subject] = problem
        else:
            self._problems.pop(subject, None)

    def advise(self, subject: str, advice: str) -> None:
        """Set what would serve `subject` better; nothing is wrong with it."""
        self._advice[subject] = advice

    def advice(self) -> list[str]:
        """Return what would serve better, a line each."""
        return [f"{subject}: {advice}" for subject, advice in sorted(self._advice.items())]

    @property
    def problems(self) -> Mapping[str, str]:
        """Return what is wrong, by subject."""
        return self._problems

    def lines(self) -> list[str]:
        """Return what is wrong, a line each."""
        return [f"{subject}: {problem}" for subject, problem in sorted(self._problems.items())]
