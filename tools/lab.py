"""Opens JupyterLab on the learner's copy of the lessons: `make lab`.

On this machine only (127.0.0.1), with a token; the address is printed, and opened where there is a
browser. The server keeps its files in `work/.course/`: somebody's own Jupyter neither disturbs it (a
password, another kernel called python3) nor notices it.
"""

import json
import os
import sys
from pathlib import Path

from workspace import ROOT, WORK, lay_out

FIRST_LESSON = "00_start_here.ipynb"
PORT = 8888
# The box that asks whether to fetch Jupyter's news: lessons need no network.
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


def main() -> None:
    report = str(lay_out())
    if report:
        print(report)
    use_own_folders(WORK / ".course" / "jupyter")
    print(f"Opening the lessons in {WORK.relative_to(ROOT)}/ (Ctrl-C ends it)", flush=True)

    from jupyterlab.labapp import main as jupyterlab  # only now: it reads the environment

    jupyterlab(options())


def use_own_folders(folder: Path) -> None:
    """Points Jupyter at folders of ours, and away from whatever the user's environment says."""
    for name in list(os.environ):
        if name.startswith(("JUPYTER", "PYTHONPATH", "PYTHONHOME")):
            del os.environ[name]
    os.environ["JUPYTER_CONFIG_DIR"] = str(folder / "config")
    os.environ["JUPYTER_DATA_DIR"] = str(folder / "data")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel of this .venv before the machine's
    settings = folder / "config" / "labconfig" / "page_config.json"
    if not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(NO_NEWS), encoding="utf-8")


def options() -> list[str]:
    page = f"/lab/tree/{FIRST_LESSON}" if (WORK / FIRST_LESSON).exists() else "/lab"
    chosen = [
        "--ip=127.0.0.1",
        f"--port={PORT}",
        "--ServerApp.port_retries=50",  # a taken port means the next one
        f"--ServerApp.root_dir={WORK}",
        f"--LabApp.default_url={page}",
        "--ServerApp.answer_yes=True",  # Ctrl-C ends it at once; work is saved as one types
        "--Application.log_level=WARN",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
        "--KernelManager.transport_encryption=auto",  # and no warning about listeners
    ]
    if os.name == "posix" and os.geteuid() == 0:
        chosen.append("--allow-root")  # a container; elsewhere nobody is root by default
    if not has_browser():
        chosen.append("--no-browser")
    return chosen


def has_browser() -> bool:
    """A window to open it in; without one Python would start a text browser in the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


if __name__ == "__main__":
    try:
        main()
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        sys.exit(f"make lab: {error}")
    except KeyboardInterrupt:
        sys.exit(0)
