#!/bin/sh
# Prints the Python that `make` builds .venv with: 3.11 or newer, with the means to make an environment.
# In sh, because the point is to say what is wrong when there is no such Python (or none at all).
# PYTHON=/path/to/python overrides the search.

rule="the course needs Python 3.11 or newer"
way_out="install one (https://www.python.org/downloads/) or name yours: make ... PYTHON=/path/to/python3.12"

if [ -n "$PYTHON" ]; then
    set -- "$PYTHON"
else
    set -- python3 python python3.14 python3.13 python3.12 python3.11
fi

old=""
bare=""
for name; do
    # Running it is the only sure way: a version manager's shim may stand for a Python that is not there.
    version=$("$name" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
    if ! "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        old=${old:-"$version ($(command -v "$name"))"}
    elif ! "$name" -c 'import ensurepip, venv' 2>/dev/null; then
        bare=${bare:-"$version ($(command -v "$name"))"}
    else
        command -v "$name"
        exit 0
    fi
done

if [ -n "$bare" ]; then
    short=${bare%.* (*}
    echo "Python $bare cannot make an environment: its venv module is not installed; run: sudo apt install python${short}-venv" >&2
elif [ -n "$old" ]; then
    echo "Python is too old: found $old, $rule; $way_out" >&2
elif [ -n "$PYTHON" ]; then
    echo "PYTHON=$PYTHON does not run; $rule; $way_out" >&2
else
    echo "No Python found on the PATH; $rule; $way_out" >&2
fi
exit 1
