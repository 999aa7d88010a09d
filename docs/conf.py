"""How Sphinx makes the course site out of the folder that `tools/build_site.py` lays out.

Nothing is fetched when a page is read: letters are those of the reader's machine, formulas are
MathML, and every address that loads something is relative, so that the site opens from a disk.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))

project = html_title = "From Tokens to Patches"
language = "en"
extensions = ["myst_nb", "website.mathml", "website.accessible"]
smartquotes = False  # quoted code stays what it is
exclude_patterns = ["extra"]

# --- lessons: as stored, nothing is executed ---------------------------------------------------
nb_execution_mode = "off"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_block", "attrs_inline"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

# --- reference ---------------------------------------------------------------------------------
add_module_names = False
python_maximum_signature_line_length = 88
html_domain_indices = False
toc_object_entries_show_parents = "hide"

# --- pages -------------------------------------------------------------------------------------
html_theme = "furo"
html_static_path = ["theme/static"]
html_favicon = "theme/static/icon.svg"
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_search_summary = False  # it would fetch pages, which no browser does from a disk
pygments_style = "a11y-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "top_of_page_buttons": [],
    "enable_search_shortcuts": False,  # a single key that acts is in the way of speech input
}
highlight_language = "none"  # what is Python says so; the rest is for the shell
