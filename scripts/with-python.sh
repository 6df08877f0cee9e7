#!/bin/sh
# Runs a Python from 3.11 to 3.13 with the given arguments: the project's own once it is set up, else the machine's.
# Works with nothing installed; `PYTHON=/path/to/python` names one that is not on the PATH.
set -u

probe='import sys; import ensurepip, venv; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13)))'
if [ -z "${PYTHON:-}" ] && [ -f .venv/tandem.json ] && .venv/bin/python -c pass 2>/dev/null; then
  exec .venv/bin/python "$@"
fi
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
  if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$probe" 2>/dev/null; then
    exec "$candidate" "$@"
  fi
done

cat >&2 <<MESSAGE
Tandem needs Python 3.11, 3.12 or 3.13 with its venv module, and none of these is one: ${PYTHON:-python3 python3.13 python3.12 python3.11}.
On Debian and Ubuntu: apt-get install python3 python3-venv. For a Python elsewhere: make serve PYTHON=/path/to/python3.12
MESSAGE
exit 1
