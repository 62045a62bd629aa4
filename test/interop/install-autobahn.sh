#!/bin/sh
# Installs the Autobahn test-suite where autobahn.test.ts looks for it. It is written in Python 2.7, which Debian no longer has;
# pyenv may have one. Without, it is left out, and the test says so.
set -eu
target=$(cd "$(dirname "$0")/../.." && pwd)/build/autobahn
[ ! -x "$target/bin/wstest" ] || exit 0
for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7 /usr/bin/python2.7; do
  [ -x "$python" ] || continue
  PYTHONUSERBASE="$target" exec "$python" -m pip install --quiet --user --disable-pip-version-check --no-warn-script-location \
    autobahntestsuite==25.10.1
done
echo "No Python 2.7 here: the Autobahn test-suite is left out" >&2
