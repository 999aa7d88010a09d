"""A Sphinx extension: formulas become MathML when the site is built, so no page needs a script.

Screen readers read MathML, and every browser of today draws it.
"""

from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx

CONVERTER = LatexToMathML()


def to_mathml(tex: str, *, block: bool) -> str:
    """One formula. Raises `ValueError`, naming the formula, for TeX that cannot be converted."""
    try:
        return CONVERTER.convert_with_local_state(tex, displaystyle=block)
    except LatexError as error:
        raise ValueError(
            f"a formula must convert to MathML; {tex!r} does not ({error}): write it with commands "
            "that math-core knows"
        ) from error


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
