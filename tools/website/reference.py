"""Pages of `course_utils` from its docstrings, one a module, in the order of the package's own list.

The source is read, not imported: what the pages say does not depend on the machine that makes them.
A name is told where a learner imports it from: `search.best`, though it is defined in `search.exact`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import griffe
from nbtools import ROOT

from website.lessons import label

PACKAGE = "course_utils"
LISTED = re.compile(r"^(\w+) {2,}(\S.*?)(?: {2,}lessons? [\d, ]+)?$", re.MULTILINE)
Named = griffe.Function | griffe.Class | griffe.Attribute


def load() -> griffe.Module:
    package = griffe.load(PACKAGE, search_paths=[str(ROOT)])
    assert isinstance(package, griffe.Module)
    return package


def listed(package: griffe.Module) -> dict[str, str]:
    """Module -> its line in the package's docstring, in that order."""
    return dict(LISTED.findall(words(package)))


def write_pages(folder: Path, built: dict[str, str]) -> None:
    """A page for each module and the list of them. `built`: name, as in a cell's tag -> lesson."""
    folder.mkdir(parents=True)
    package = load()
    modules = listed(package)
    for name in modules:
        text = module_page(package[name], built)
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / "index.md").write_text(index_page(modules), encoding="utf-8")


def index_page(modules: dict[str, str]) -> str:
    rows = [f"| [`{name}`]({name}.md) | {line} |" for name, line in modules.items()]
    return "\n".join(
        [
            "# Reference: course_utils",
            "",
            "The package that the lessons build and import, module by module in teaching order. A "
            "name that a lesson builds from nothing has a link to the cell where it is built.",
            "",
            'Shapes are types: `Float[Tensor, "batch tokens dim"]` is a tensor of real numbers with '
            "three axes, `Int` holds integers and `Bool` truth values. The same name is the same size "
            "throughout a signature; `*batch` stands for any number of axes, and a single name has a "
            "blank in front. The tests check these types.",
            "",
            "| module | what it is |",
            "|---|---|",
            *rows,
            "",
            "```{toctree}",
            ":hidden:",
            "",
            *modules,
            "```",
            "",
        ]
    )


def module_page(module: griffe.Module, built: dict[str, str]) -> str:
    """A module; of a package first what it exports, then a section for each of its modules."""
    blocks = [f"# {module.path}", f"```{{py:module}} {module.path}\n```", words(module)]
    shown = public_names(module)
    blocks += [entry(named, f"{module.path}.{name}", built) for name, named in shown.items()]
    exported = {named.path for named in shown.values()}
    for part in submodules(module):
        rest = {name: n for name, n in public_names(part).items() if n.path not in exported}
        if rest:
            blocks += [f"## {part.path.removeprefix(PACKAGE + '.')}", words(part)]
            blocks += [f"```{{py:currentmodule}} {part.path}\n```"]
            blocks += [entry(named, f"{part.path}.{name}", built) for name, named in rest.items()]
    return "\n\n".join(blocks) + "\n"


def submodules(module: griffe.Module) -> Iterator[griffe.Module]:
    """Those of a package, by name. A check is told by its exercise, a program by its `--help`."""
    for name, part in sorted(module.modules.items()):
        if not part.is_alias and not name.startswith(("_", "lesson_")):
            yield part
            yield from submodules(part)


def public_names(module: griffe.Module) -> dict[str, Named]:
    """What may be imported from here: what is exported, or else what is defined, in source order."""
    found: dict[str, Named] = {}
    for name, member in module.members.items():
        exported = name in (module.exports or ())
        own = not member.is_alias and not member.is_module and not name.startswith("_")
        if exported or own:
            hidden = isinstance(member, griffe.Module)  # `data.digits`: the function hides it
            target: object = member.members[name] if hidden else member
            if isinstance(target, griffe.Alias):
                target = target.final_target
            assert isinstance(target, Named), member.path
            if target.path.startswith(f"{module.path}."):  # else it is told where it is defined
                found[name] = target
    return found


def entry(named: Named, path: str, built: dict[str, str], fence: int = 6) -> str:
    """One name as a directive of Sphinx; inside a class its methods, with a shorter fence."""
    kind, signature = declaration(named)
    lines = ["`" * fence + f"{{py:{kind}}} {named.name}{signature}"]
    if path != named.path and fence == 6:
        lines.append(f":canonical: {named.path}")
    lines += ["", words(named)]
    name = path.removeprefix(f"{PACKAGE}.")
    if name in built:
        lines += ["", f"{{ref}}`Built in lesson {built[name]} <{label(name)}>`"]
    if isinstance(named, griffe.Class):
        for member in methods(named):
            lines += ["", entry(member, f"{path}.{member.name}", built, fence - 1)]
    return "\n".join([*lines, "`" * fence])


def declaration(named: Named) -> tuple[str, str]:
    """The directive's name, and what stands behind the name of the thing."""
    inside = isinstance(named.parent, griffe.Class)
    if isinstance(named, griffe.Attribute):
        annotation = f"\n:type: {named.annotation}" if named.annotation else ""
        long = inside or len(str(named.value)) > 200
        value = "" if long else f"\n:value: {named.value}"
        # `Images` is a short name for a type in several modules: no link could tell which one.
        unlinked = "" if inside or named.name.isupper() else "\n:no-index:"
        return ("property" if inside else "data"), annotation + value + unlinked
    signature = named.signature().removeprefix(named.name)
    if isinstance(named, griffe.Class):
        return "class", signature
    marks = "".join(
        f"\n:{mark}:" for mark in sorted(named.labels & {"classmethod", "staticmethod"})
    )
    return ("method" if inside else "function"), signature + marks


def methods(owner: griffe.Class) -> list[Named]:
    """Public methods and properties that say what they do."""
    members = (m for m in owner.members.values() if not m.is_alias and not m.name.startswith("_"))
    return [m for m in members if isinstance(m, Named) and m.has_docstring]


def words(named: griffe.Object) -> str:
    return named.docstring.value if named.docstring else ""
