"""A Sphinx extension: formulas become MathML when the site is built, so no page needs a script.

Screen readers read MathML, and every browser of today draws it.
"""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def to_mathml(tex: str, *, block: bool) -> str:
    """One formula. Raises `ValueError`, naming the formula, for TeX that cannot be converted."""
    try:
        mathml = convert(tex, display="block" if block else "inline")
    except Exception as error:
        raise ValueError(
            f"a formula must convert to MathML; {tex!r} does not ({error}): write it with the "
            "commands that latex2mathml knows"
        ) from error
    if "\\" in mathml:  # an unknown command is passed on as text
        raise ValueError(f"unknown command in the formula {tex!r}: use another one")
    return mathml


def visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(to_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    mathml = to_mathml(node.astext(), block=True)
    translator.body.append(f'<div class="formula">{mathml}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
