"""nbgrader's settings for this course; `make release` puts this file into its folder."""

import os

from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_markdown_cell
from nbgrader.converters.autograde import Autograde
from nbgrader.converters.generate_feedback import GenerateFeedback
from nbgrader.exchange.default import ExchangeSubmit
from nbgrader.preprocessors import Execute, NbGraderPreprocessor, OverwriteCells

MOST_DEATHS = 5


class SurvivingExecute(Execute):
    """A cell that ends Python itself costs its own points, not those of the whole notebook.

    Such a cell is left out, and the notebook runs once more without it. Where it is a test, the
    answer that it tests is left out with it.
    """

    def preprocess(self, nb, resources=None, **options):
        sources = [cell.source for cell in nb.cells]
        try:
            for _ in range(MOST_DEATHS):
                try:
                    return super().preprocess(nb, resources, **options)
                except DeadKernelError:
                    self._leave_out(nb)
            return super().preprocess(nb, resources, **options)
        finally:
            for cell, source in zip(nb.cells, sources, strict=True):
                cell.source = source

    def preprocess_cell(self, cell, resources, index):
        self.last = index
        return super().preprocess_cell(cell, resources, index)

    def _leave_out(self, nb):
        """The cell that ran last stops with an error instead."""
        cells = [nb.cells[self.last]]
        grade_id = cells[0].metadata.get("nbgrader", {}).get("grade_id", "")
        answer = grade_id.replace("points-", "exercise-")
        cells += [c for c in nb.cells if c.metadata.get("nbgrader", {}).get("grade_id") == answer]
        for cell in cells:
            cell.source = f"raise RuntimeError({ENDED!r})"


ENDED = "left out: this cell, or the test of it, ended Python itself"


class CompleteSubmission(OverwriteCells):
    """A test that is missing comes back, as a changed one does, after the answer that it tests.

    So whatever a student hands in is graded: also a lesson of `student/`, or of the course itself.
    """

    add_missing_cells = True

    def preprocess(self, nb, resources):
        for cell in nb.cells:
            about = cell.metadata.get("course", {})
            if about.get("role") == "stub" and "nbgrader" not in cell.metadata:
                cell.metadata["nbgrader"] = {
                    "schema_version": 3,
                    "grade_id": f"exercise-{about['exercise'].replace('.', '-')}",
                    "grade": False,
                    "solution": True,
                    "locked": False,
                    "task": False,
                }
        return super().preprocess(nb, resources)

    def add_missing_grade_cells(self, nb, resources):
        notebook = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        originals = {cell.name: cell for cell in notebook.source_cells}
        for test in notebook.grade_cells:
            here = {
                cell.metadata.get("nbgrader", {}).get("grade_id"): place
                for place, cell in enumerate(nb.cells)
            }
            if test.name not in here:
                answer = here.get(test.name.replace("points-", "exercise-"), len(nb.cells) - 1)
                cell = self.missing_cell_transform(originals[test.name], test.max_score)
                nb.cells.insert(answer + 1, cell)
        return nb, resources


class ReadableFeedback(NbGraderPreprocessor):
    """The feedback page wraps long messages, and its list says which exercise a test belongs to."""

    def preprocess(self, nb, resources):
        tests = [cell.metadata.get("nbgrader", {}).get("grade_id", "") for cell in nb.cells]
        rules = ["pre { white-space: pre-wrap; }"] + [
            f'#toc a[href="#{test}"]::after {{ content: " of exercise {number}"; }}'
            for test in tests
            if test.startswith("points-") and (number := test[7:].replace("-", "."))
        ]
        nb.cells.insert(0, new_markdown_cell(f"<style>{' '.join(rules)}</style>"))
        return nb, resources


class PrivateSubmit(ExchangeSubmit):
    """What is handed in is open to its writer and to the teacher's group, and to nobody else.

    nbgrader leaves it open to all who guess its name. The group comes from the folder it lies in.
    """

    def copy_files(self):
        super().copy_files()
        os.chmod(os.path.join(self.inbound_path, self.assignment_filename), 0o770)


c = get_config()  # noqa: F821  (nbgrader gives it)

c.CourseDirectory.course_id = "vision-transformers"
# jupyterhub_config.py says where people hand over, and to teachers where the course lies.
if os.environ.get("COURSE_EXCHANGE"):
    c.Exchange.root = os.environ["COURSE_EXCHANGE"]
    c.KernelManager.transport_encryption = "auto"  # others on the machine could listen
if os.environ.get("COURSE_FOLDER"):
    c.CourseDirectory.root = os.environ["COURSE_FOLDER"]
c.ExchangeFactory.submit = PrivateSubmit
# A released stub stands where the solution stood.
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
# A cell of a lesson takes at most some twenty seconds on two cores.
c.ExecutePreprocessor.timeout = 120
c.Execute.timeout = 120
c.SurvivingExecute.timeout = 120
c.GenerateFeedback.preprocessors = [*GenerateFeedback.preprocessors.default(), ReadableFeedback]
c.Autograde.sanitize_preprocessors = [
    CompleteSubmission if step is OverwriteCells else step
    for step in Autograde.sanitize_preprocessors.default()
]
c.Autograde.autograde_preprocessors = [
    SurvivingExecute if step is Execute else step
    for step in Autograde.autograde_preprocessors.default()
]
