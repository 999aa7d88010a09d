"""Text that needs no network: docstrings, and sentences in five languages."""

import ast
import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from course_utils.data.splits import Split, check_split, folder_of, part


def course_text(split: Split = "train") -> list[str]:
    """Docstrings of the installed scikit-learn: English about machine learning, one string each.

    Read from its source files with `ast`, so nothing is imported or downloaded and every Python
    version gives the same text for the same scikit-learn. Duplicates are dropped, then 80, 10 and 10
    percent of the docstrings are drawn (seeded) for train, validation and test. scikit-learn is
    BSD-licensed; the text stays on the reader's machine.
    """
    check_split(split)
    docstrings = _sklearn_docstrings()
    order = np.random.default_rng(0).permutation(len(docstrings))
    return [docstrings[i] for i in sorted(part(order, split))]


@cache
def _sklearn_docstrings() -> tuple[str, ...]:
    root = folder_of("sklearn")
    modules = sorted(path for path in root.rglob("*.py") if "tests" not in path.parts)
    texts: dict[str, None] = {}  # a dict keeps the order and drops duplicates
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                texts[ast.get_docstring(node) or ""] = None
    texts.pop("", None)
    return tuple(texts)


def parallel_sentences() -> list[dict[str, str]]:
    """Sentences that say the same in en, hi, zh, ja and ar (language code -> text)."""
    return _parallel()["sentences"]


def languages() -> dict[str, dict[str, str]]:
    """Language code -> its name, script and direction ("ltr" or "rtl")."""
    return _parallel()["languages"]


@cache
def _parallel() -> dict[str, Any]:
    path = files("course_utils") / "texts" / "parallel.json"
    return json.loads(path.read_text(encoding="utf-8"))
