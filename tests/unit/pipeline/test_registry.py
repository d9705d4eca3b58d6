from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from fastembed.pipeline.component import operator, sink
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.registry import Registry, component_name, load_file

Write = Callable[..., Path]

OPERATOR = """
from fastembed.pipeline.component import operator

@operator
def {name}(value: int, *, factor: int = 2) -> int:
    '''Multiply.'''
    return value * factor
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_text


@pytest.fixture
def package(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a package of operators: double, triple, a file without a component, a broken one."""
    write("shop/operators_for_tests/__init__.py", "")
    write("shop/operators_for_tests/double.py", OPERATOR.format(name="anything"))
    write("shop/operators_for_tests/triple.py", f"{OPERATOR.format(name='other')}{OPERATOR.format(name='triple')}")
    write("shop/operators_for_tests/tables.py", "from operators_for_tests.double import anything\n")
    write("shop/operators_for_tests/broken.py", "import nothing_of_this_name\n")
    write("shop/operators_for_tests/_private.py", OPERATOR.format(name="private"))
    monkeypatch.syspath_prepend(str(tmp_path / "shop"))
    yield "operators_for_tests"
    for name in [name for name in sys.modules if name.startswith("operators_for_tests")]:
        del sys.modules[name]


@pytest.fixture
def registry(package: str) -> Registry:
    return Registry({"operator": package}, group="fastembed.none")


def message(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def test_a_file_of_the_package_is_a_component_under_the_files_name(registry: Registry):
    spec = registry.find("operator", "double")
    assert (spec.name, spec.role, spec.in_type, list(spec.options)) == ("double", "operator", int, ["factor"])


def test_names_come_from_file_names_and_nothing_is_imported(registry: Registry, package: str):
    assert registry.names("operator") == ("broken", "double", "tables", "triple")
    assert registry.names("source") == ()
    assert not [name for name in sys.modules if name.startswith(f"{package}.")]


def test_only_the_named_module_is_imported(registry: Registry, package: str):
    registry.find("operator", "double")
    assert [name for name in sys.modules if name.startswith(f"{package}.")] == [f"{package}.double"]


def test_of_several_components_in_a_file_the_one_with_its_name_counts(registry: Registry):
    assert registry.find("operator", "triple").factory.__name__ == "triple"


def test_an_unknown_name_is_answered_with_the_nearest(registry: Registry):
    assert message(lambda: registry.find("operator", "dubble")) == (
        "found 'dubble', expected an operator: one of broken, double, tables, triple; did you mean 'double'?"
    )


def test_a_module_without_a_component_is_none(registry: Registry):
    assert message(lambda: registry.find("operator", "tables")).startswith("found 'tables', expected an operator")


def test_a_component_of_another_role_is_named(registry: Registry):
    @sink
    async def print_it(value: int) -> None:
        raise NotImplementedError(value)

    registry.add(print_it)
    assert message(lambda: registry.find("sink", "double")) == (
        "found 'double', which is an operator, expected a sink: print_it"
    )


def test_a_module_that_cannot_be_imported_says_why(registry: Registry, package: str):
    assert message(lambda: registry.find("operator", "broken")) == (
        f"found operator 'broken', but {package}.broken cannot be imported: No module named 'nothing_of_this_name'"
    )


def test_all_gives_every_component(registry: Registry, tmp_path: Path):
    (tmp_path / "shop/operators_for_tests/broken.py").unlink()
    assert [spec.name for spec in registry.all("operator")] == ["double", "triple"]


def test_a_plugin_is_loaded_by_path_and_leaves_sys_path_alone(registry: Registry, write: Write):
    before = list(sys.path)
    plugin = write(
        "my-tools.py",
        OPERATOR.format(name="quadruple")
        + "from dataclasses import dataclass\n\n@operator\n@dataclass\nclass HTTPFetch:\n    size: int = 3\n\n"
        + "    def __call__(self, value: int) -> int:\n        return value\n",
    )
    extended = registry.with_plugins([plugin])
    assert {"quadruple", "http_fetch", "double"} <= set(extended.names("operator"))
    assert list(extended.find("operator", "http_fetch").options) == ["size"]
    assert sys.path == before
    assert "quadruple" not in registry.names("operator")


def test_a_plugin_is_read_anew(registry: Registry, write: Write):
    path = write("plug.py", OPERATOR.format(name="first"))
    assert registry.with_plugins([path]).knows("operator", "first")
    write("plug.py", OPERATOR.format(name="second_edition"))
    assert registry.with_plugins([path]).names("operator") == ("broken", "double", "second_edition", "tables", "triple")


def test_a_plugin_of_another_text_is_another_revision_even_within_a_second(registry: Registry, write: Write):
    revisions = []
    for sign in "+-+":
        path = write("plug.py", OPERATOR.format(name="first") + f"SIGN = '{sign}'\n")
        os.utime(path, (1, 1))
        found = registry.with_plugins([path]).find("operator", "first")
        revisions.append(found.revision)
        assert sign == sys.modules[found.factory.__module__].SIGN
    assert revisions[0] == revisions[2] != revisions[1]
    assert registry.find("operator", "double").revision == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n1 / 0\n", "found the plug-in plug.py line 2, which fails: ZeroDivisionError: division by zero"),
        ("def (:\n", "found the plug-in plug.py line 1, which fails: SyntaxError: invalid syntax"),
        (
            "import nope_nope\n",
            ("found the plug-in plug.py line 1, which fails: ModuleNotFoundError: No module named 'nope_nope'"),
        ),
        (
            "from fastembed.pipeline.component import operator\n@operator\ndef f(*, a):\n    pass\n",
            "that cannot be used: operator f: found no first positional parameter, expected one for the input",
        ),
        (
            "from fastembed.pipeline.component import operator\n@operator\ndef f(x, **more):\n    pass\n",
            "that cannot be used: operator f: found **more, expected named options only: they are its YAML keys",
        ),
        (
            (
                "from __future__ import annotations\nfrom fastembed.pipeline.component import operator\n"
                "@operator\ndef f(x: Nothing):\n    pass\n"
            ),
            "that cannot be used: name 'Nothing' is not defined",
        ),
    ],
)
def test_a_plugin_that_fails_says_where_and_why(registry: Registry, write: Write, text: str, expected: str) -> None:
    path = write("plug.py", text)
    assert expected in message(lambda: registry.with_plugins([path]))


@pytest.mark.parametrize("text", ["def (:\n", None])
def test_what_a_plugin_that_fails_may_have_had_is_no_problem_of_its_own(
    registry: Registry, tmp_path: Path, text: str | None
):
    if text is not None:
        (tmp_path / "plug.py").write_text(text)
    extended, problems = registry.with_plugin(tmp_path / "plug.py")
    assert len(problems) == 1
    assert extended.refused("operator", "frobnicate")
    assert not extended.refused("operator", "double")
    assert not extended.refused("operator", "duoble")  # a slip is told all the same
    assert not registry.refused("operator", "frobnicate")


def test_a_missing_plugin_is_named(registry: Registry, tmp_path: Path):
    path = tmp_path / "no.py"
    assert message(lambda: registry.with_plugins([path])) == f"found no Python file {path}, expected a plug-in"


def test_a_failed_reload_keeps_the_module_that_worked(write: Write):
    path = write("plug.py", "VALUE = 1\n")
    module, _ = load_file(path)
    write("plug.py", "VALUE = 1 / 0  # longer than before\n")
    with pytest.raises(ConfigError):
        load_file(path)
    assert sys.modules[module.__name__] is module


def test_a_plugin_may_not_take_a_name_that_is_taken(registry: Registry, write: Write, package: str):
    path = write("plug.py", OPERATOR.format(name="double"))
    assert message(lambda: registry.with_plugins([path])) == (
        f"found the operator 'double' in {path} and in {package}.double, expected it once"
    )
    first, second = write("a.py", OPERATOR.format(name="new")), write("b.py", OPERATOR.format(name="new"))
    assert message(lambda: registry.with_plugins([first, second])) == (
        f"found the operator 'new' in {second} and in {first}, expected it once"
    )


def test_names_of_different_roles_do_not_clash(registry: Registry):
    @sink
    async def double(value: int) -> None:
        raise NotImplementedError(value)

    registry.add(double)
    assert registry.find("sink", "double").role == "sink"
    assert registry.find("operator", "double").role == "operator"


@operator
def halve(value: int) -> int:
    """Halve."""
    return value // 2


def entry_point_registry(package: str, monkeypatch: pytest.MonkeyPatch, **points: str) -> Registry:
    """Return a registry for which these entry points are installed."""
    monkeypatch.setitem(sys.modules, "entry_point_target", sys.modules[__name__])
    found = [EntryPoint(name, value, "fastembed.components") for name, value in points.items()]
    monkeypatch.setattr(
        "fastembed.pipeline.registry.entry_points", lambda group: [p for p in found if p.group == group]
    )
    return Registry({"operator": package})


def test_an_entry_point_is_a_component(package: str, monkeypatch: pytest.MonkeyPatch):
    registry = entry_point_registry(
        package, monkeypatch, half="entry_point_target:halve", OTHER="entry_point_target:Path"
    )
    assert registry.find("operator", "half").factory is halve
    assert "half" in registry.names("operator")
    assert message(lambda: registry.find("operator", "OTHER")) == (
        "found the entry point entry_point_target:Path, expected a marked source, operator or sink there"
    )


def test_an_entry_point_that_fails_says_why(package: str, monkeypatch: pytest.MonkeyPatch):
    registry = entry_point_registry(package, monkeypatch, gone="nothing_here:x")
    assert message(lambda: registry.find("operator", "gone")) == (
        "found the entry point nothing_here:x, which fails: ModuleNotFoundError: No module named 'nothing_here'"
    )


def test_an_entry_point_may_not_take_a_name_of_the_package(package: str, monkeypatch: pytest.MonkeyPatch):
    registry = entry_point_registry(package, monkeypatch, double="entry_point_target:halve")
    assert message(lambda: registry.find("operator", "double")) == (
        f"found the operator 'double' in {package}.double and in the entry point entry_point_target:halve, "
        "expected it once"
    )


def test_class_names_become_snake_case():
    class VoiceActivity: ...

    class HTTPFetch: ...

    assert component_name(VoiceActivity) == "voice_activity"
    assert component_name(HTTPFetch) == "http_fetch"
    assert component_name(halve) == "halve"
