# `make lab` and `make test` need nothing but Python 3.11 or newer. All paths are relative: the
# folder may lie in a path with spaces, and the scripts of a .venv do not bear that, its Python does.

export PYTHON
IN_VENV := .venv/bin/python
PROXY := configurable-http-proxy@5.3.0
install = python=$$(sh tools/find_python.sh) && "$$python" tools/bootstrap.py $(1)

.PHONY: help lab reset release test test-browser test-oldest site notebooks badges bench glossary guide draft undraft

help:  ## lists the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  /p' Makefile

lab:  ## installs, then opens JupyterLab on your copy of the lessons in work/
	@$(call install,lab)
	@$(IN_VENV) tools/lab.py

reset:  ## starts one lesson afresh, keeping your file under a dated name: make reset LESSON=03
	@$(call install,lab)
	@$(IN_VENV) tools/workspace.py "$(LESSON)"

release:  ## the lessons for a class, in build/release/: student, instructor and nbgrader versions
	@$(call install,dev)
	@$(IN_VENV) tools/release.py

# Last of all one call of pytest for everything, so that its closing line speaks for all.
test:  ## lint, spelling, types, unit tests and strict nbval over every lesson
	@$(call install,dev)
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m ruff format --check
	$(IN_VENV) -m codespell_lib
	$(IN_VENV) -m mypy
	$(IN_VENV) -m pytest tests notebooks --nbval --nbval-current-env --nbval-cell-timeout=300

test-browser:  ## JupyterLab, the site and a class in a real browser: needs Chromium, npm and, for the class, root
	@$(call install,dev)
	@if command -v npm > /dev/null; then npm install --silent --no-fund --no-audit --prefix build/hub $(PROXY); \
	else echo "there is no npm here: the class on a hub will not be tested"; fi
	$(IN_VENV) -m pytest tests/browser -m browser

test-oldest:  ## the unit tests on the lowest versions that pyproject.toml allows
	@$(call install,dev)
	@$(IN_VENV) tools/oldest.py

site:  ## builds the course site from the stored outputs: open build/site/index.html
	@$(call install,dev)
	@$(IN_VENV) tools/build_site.py

notebooks:  ## executes and measures every lesson, or LESSON=03, and writes the outputs back
	@$(call install,dev)
	@$(IN_VENV) tools/execute_notebooks.py $(LESSON)
	@$(IN_VENV) tools/guide.py

badges:  ## stamps the address of the course into every lesson: make badges REPO=owner/name
	@$(call install,dev)
	@$(IN_VENV) tools/stamp.py --repository "$(REPO)"

bench:  ## measured ratios against the reference libraries, into course_utils/results/
	@$(call install,dev)
	@$(IN_VENV) tools/bench.py

glossary:  ## writes docs/glossary.md from docs/glossary.yaml
	@$(call install,dev)
	@$(IN_VENV) tools/glossary.py

guide:  ## fills times, plans and quoted checks into docs/instructor_guide.md
	@$(call install,dev)
	@$(IN_VENV) tools/guide.py

draft:  ## writes one lesson as a script, for editing: make draft LESSON=03
	@$(call install,dev)
	@$(IN_VENV) tools/draft.py out "$(LESSON)"

undraft:  ## puts the edited script back into the notebook: make undraft LESSON=03
	@$(call install,dev)
	@$(IN_VENV) tools/draft.py in "$(LESSON)"
