"""The architecture, read from the source: layers, one part a file, docstrings, short files, no print."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from hfrecipes.cli.on_machine import KINDS as COMMAND_LINE_KINDS
from hfrecipes.part import names

ROOT = Path(__file__).parents[1] / "hfrecipes"
LAYERS = (
    ("errors", "value", "releases", "patterns", "installed", "draws", "packed_attention", "lighter_calls", "large_pages"),
    ("part", "pick", "edge", "trusted", "family", "fast_path", "distributed", "shrinking", "zeros", "auto_classes", "__init__"),
    (
        "config",
        "folder",
        "locking",
        "durations",
        "upkeep",
        "pointer",
        "fencing",
        "audit",
        "feature_store",
        "prefix",
        "first_token",
        "packed_rows",
        "embedding_rows",
        "lighter",
        "uncertainty",
        "traffic",
        "signals",
        "hardware",
        "energy",
        "folds",
        "averaging",
        "duplicates",
        "slices",
        "perturbations",
        "label_errors",
        "bootstrap",
        "card",
        "destination",
        "release",
        "apart",
        "traces",
        "signing",
        "hub",
        "hub_calls",
        "hub_asking",
        "hub_repository",
        "hub_collection",
        "publishable",
        "tokens",
        "cloze",
        "verbalising",
        "columns",
        "data",
        "sources",
        "heads",
        "pooling",
        "episodes",
        "reshaping",
        "static_config",
        "static_model",
        "words",
        "models",
        "weighing",
        "metrics",
        "report",
        "plots",
        "drift_page",
        "explanation_page",
        "entries",
    ),
    (
        "tasks",
        "strategies",
        "optimizers",
        "schedules",
        "losses",
        "objectives",
        "compressors",
        "targets",
        "checks",
        "detectors",
        "vectors",
        "tokenizers",
        "tokenization",
    ),
    ("batches", "trainer", "features", "origin", "class_means", "solved_head", "alarms", "checkpoints", "preemption", "sharding"),
    ("checkpoint", "recipe", "optimization", "inference", "registry", "publishing", "publishing_apart"),
    ("recipes", "arguments", "calibration", "dictionary", "senses", "explaining"),
    ("measurement", "tracking", "few_shot"),
    ("verification", "monitor"),
    ("serving",),
    ("choice", "baselines", "engines", "watching"),
    ("stages",),
    ("verbs", "plugins"),
    (
        "launching",
        "scaling",
        "first_recipe",
        "diagnosis",
        "rate_finder",
        "tuning",
        "retention",
        "frontier",
        "speed",
        "retraining",
    ),
    ("tables", "beside"),
    ("cli", "__main__"),
)
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
FILES = sorted(ROOT.rglob("*.py"))
TREES = {file: ast.parse(file.read_text("utf-8")) for file in FILES}
KINDS = sorted(
    keyword.value.value
    for tree in TREES.values()
    for node in tree.body
    if isinstance(node, ast.ClassDef)
    for keyword in node.keywords
    if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
)
"""Every `class Base(Part, kind="…")` opens a kind."""


def module(file: Path) -> str:
    """The name of a file's module below the package: `checks.quality`, `checks`, `__init__`."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module(file) for file in FILES}


def layer(name: str) -> int:
    """The layer of a module."""
    return LEVEL[name.partition(".")[0]]


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, those for the type checker left out."""
    for node in body:
        if isinstance(node, ast.If):
            checked = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            yield from at_import(node.orelse if checked else [*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from at_import([*node.body, *node.orelse, *node.finalbody, *(n for h in node.handlers for n in h.body)])
        else:
            yield node


def imported(file: Path) -> set[str]:
    """The modules of the package that a file imports when it is imported."""
    found: set[str] = set()
    for node in at_import(TREES[file].body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.partition(".")[0] == "hfrecipes"}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} has a relative import"
            source = str(node.module)
            if source.partition(".")[0] == "hfrecipes":
                inside = source.removeprefix("hfrecipes").lstrip(".")
                for alias in node.names:
                    deeper = f"{inside}.{alias.name}".lstrip(".")
                    found.add(deeper if deeper in MODULES else inside or "__init__")
    return {name.removeprefix("hfrecipes.") for name in found}


IMPORTS = {module(file): imported(file) for file in FILES}


def leaves() -> list[tuple[str, Path]]:
    """Every file that holds a part, with its kind."""
    return [(kind, ROOT / kind / f"{name.replace('-', '_')}.py") for kind in KINDS for name in names(kind)]


def test_every_kind_is_known_to_the_command_line() -> None:
    assert len(KINDS) >= 7
    assert sorted(COMMAND_LINE_KINDS) == KINDS


def test_every_module_has_a_layer_and_every_name_of_the_table_is_a_module() -> None:
    assert len(FILES) > 50
    assert {name.partition(".")[0] for name in MODULES} == set(LEVEL)


def test_imports_go_down_the_layers_only() -> None:
    pairs = [(name, other) for name, others in IMPORTS.items() for other in others]
    assert len(pairs) > 100
    assert [f"{name} imports {other}" for name, other in pairs if layer(other) > layer(name)] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in sorted(IMPORTS.get(name, set()) - {"__init__"}):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(IMPORTS):
        visit(name, ())
    assert len(done) == len(FILES)


def test_two_parts_of_one_kind_never_import_each_other() -> None:
    found = leaves()
    assert len(found) > 10
    parts = {module(file) for _, file in found}
    sideways = [
        (module(file), other) for kind, file in found for other in IMPORTS[module(file)] & parts if other.startswith(f"{kind}.")
    ]
    assert sideways == []


def test_a_file_of_a_kind_holds_one_part_and_it_is_named_like_the_file() -> None:
    found = leaves()
    assert len(found) > 10
    for kind, file in found:
        values = [
            node.name
            for node in TREES[file].body
            if isinstance(node, ast.ClassDef) and any(isinstance(d, ast.Name) and d.id == "value" for d in node.decorator_list)
        ]
        camel = "".join(word.capitalize() for word in file.stem.split("_")) + ("Recipe" if kind == "recipes" else "")
        assert values == [camel], file


def defined(body: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public classes and functions of a body, and the methods of its classes."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from defined(node.body)


def inherited(node: ast.AST, tree: ast.Module) -> bool:
    """Whether a method may have its words from a base, or is a property whose name says it all."""
    bases = [c for c in tree.body if isinstance(c, ast.ClassDef) and node in c.body and c.bases]
    decorated = isinstance(node, ast.FunctionDef) and any(
        isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list
    )
    return bool(bases) or decorated


def test_every_public_name_has_a_docstring() -> None:
    found = [(file, node) for file, tree in TREES.items() for node in defined(tree.body)]
    assert len(found) > 200
    bare = [
        f"{module(file)}.{node.name}" for file, node in found if not ast.get_docstring(node) and not inherited(node, TREES[file])
    ]
    assert bare == []


def test_every_module_has_a_docstring_of_its_own() -> None:
    said = {file: ast.get_docstring(tree) for file, tree in TREES.items()}
    assert len(said) == len(FILES)
    assert [str(file) for file, words in said.items() if not words] == []


def test_the_docstring_of_a_part_opens_with_the_name_of_its_file() -> None:
    found = [(kind, file) for kind, file in leaves() if kind != "recipes"]
    assert len(found) > 10
    opened = {file: (ast.get_docstring(TREES[file]) or "").partition(":")[0] for _, file in found}
    assert [file.name for file, name in opened.items() if name.replace("-", "_") != file.stem] == []


def test_a_long_file_says_why() -> None:
    everywhere = [file for name in ("hfrecipes", "examples", "tests") for file in (ROOT.parent / name).rglob("*.py")]
    long = [file for file in everywhere if len(file.read_text("utf-8").splitlines()) > 300]
    assert [
        file.name for file in long if "Long, since" not in (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "")
    ] == []
    assert not [file for file in long if file.is_relative_to(ROOT)]


def test_only_the_command_line_prints() -> None:
    printing = [
        module(file)
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert len(printing) > 5
    assert {name.partition(".")[0] for name in printing} == {"cli"}


def test_the_guard_of_imports_sees_what_is_behind_an_if_and_not_what_is_for_the_type_checker() -> None:
    source = (
        "import a\nif TYPE_CHECKING:\n    import b\nif x:\n    import c\ntry:\n    import d\nexcept ImportError:\n    import e\n"
    )
    seen = [alias.name for node in at_import(ast.parse(source).body) if isinstance(node, ast.Import) for alias in node.names]
    assert seen == ["a", "c", "d", "e"]
