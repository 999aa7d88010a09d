"""The course site: how lessons, documents and docstrings become pages. `make site` calls it.

start      the start page, from the README and the list of lessons
lessons    a notebook as a page: figures with their words, folded solutions, links to the reference
documents    links to files that have no page
interactive  small pieces for the browser, put into the lessons that they belong to
reference  pages of `course_utils` from its docstrings
mathml     formulas as MathML, so that no page needs a script for them
accessible what the theme leaves undone for keyboards and screen readers
"""
