"""A JupyterHub for one class on one machine; README.md beside this file tells how to install it.

Every person has a system account, so the machine itself keeps their files apart. It listens on this
machine only: the web server of the institution (nginx, Apache, Caddy) stands before it and brings
HTTPS. In the folder of this file lie also .venv/, exchange/, nbgrader_config.py and state/.
"""

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
COURSE = (
    "vision-transformers"  # the name of the exchange's course, and of the system group of the class
)
TEACHERS = set(os.environ.get("COURSE_TEACHERS", "teacher").split(","))
SEAT_GIGABYTES = 4

c = get_config()  # noqa: F821  (JupyterHub gives it)

c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.db_url = f"sqlite:///{FOLDER / 'state' / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(FOLDER / "state" / "cookie_secret")

# People log in with the name and the password of their account, if they are in the group.
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.allowed_groups = {COURSE}

# One server for each person, as that person, with JupyterLab.
c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"
c.Spawner.default_url = "/lab"
# When a whole class logs in at once, a server takes longer to start than JupyterHub waits by itself.
c.Spawner.start_timeout = c.Spawner.http_timeout = 300
c.Spawner.environment = {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "JUPYTER_CONFIG_PATH": str(FOLDER),  # nbgrader finds its settings there
    "COURSE_EXCHANGE": str(FOLDER / "exchange"),
    "OMP_NUM_THREADS": "2",  # else the first person's matrices take all processors
}

# A local server is no container: the operating system limits each of its processes, a kernel too.
# Spawners with containers, and systemd's, take the limit from `mem_limit` for the whole seat.
c.Spawner.mem_limit = f"{SEAT_GIGABYTES}G"
c.Spawner.cmd = ["prlimit", f"--data={SEAT_GIGABYTES * 2**30}", sys.executable, "-m"]
c.Spawner.cmd += ["jupyterhub.singleuser"]
FOR_ALL = [
    # A kernel that was idle for an hour gives its memory back; what is in the notebook stays.
    "--MappingKernelManager.cull_idle_timeout=3600",
    # Everybody on the machine could listen at a kernel's ports.
    "--KernelManager.transport_encryption=auto",
]
# Students have the list of assignments; what grades them is the teachers'.
FOR_STUDENTS = ["--ServerApp.jpserver_extensions=nbgrader.server_extensions.formgrader=False"]


def by_role(spawner):
    """Teachers grade, in the folder vision-transformers/ of their home."""
    teaches = spawner.user.name in TEACHERS
    spawner.args = FOR_ALL + ([] if teaches else FOR_STUDENTS)
    home = Path("~" + spawner.user.name).expanduser()
    spawner.environment["COURSE_FOLDER"] = str(home / COURSE) if teaches else ""


c.Spawner.pre_spawn_hook = by_role
