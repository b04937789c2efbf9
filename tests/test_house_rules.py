from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for name in ("aquila", "jobs", "chimeway") for path in (ROOT / name).rglob("*.py"))


@cache
def read(path: Path) -> tuple[str, ast.Module]:
    source = path.read_text()
    return source, ast.parse(source)


def body_lines(function: ast.AsyncFunctionDef | ast.FunctionDef) -> int:
    body = function.body[ast.get_docstring(function) is not None :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    source, tree = read(path)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)]

    assert source.count("\n") <= 300
    assert [function.name for function in functions if body_lines(function) > 40] == []
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_error_is_swallowed_in_silence(path: Path) -> None:
    handlers = [node for node in ast.walk(read(path)[1]) if isinstance(node, ast.ExceptHandler)]

    assert [node.lineno for node in handlers if [type(line) for line in node.body] == [ast.Pass]] == []
