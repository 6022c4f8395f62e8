#!/usr/bin/env bash
# Makes sure that commands are there: need.sh command[:package]...
# What is missing comes from Debian's packages when we may install them.
set -euo pipefail

missing=()
for want in "$@"; do
	command -v "${want%%:*}" >/dev/null || missing+=("${want##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "missing: ${missing[*]}; please install them" >&2
	exit 1
fi
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo -n)
echo "installing ${missing[*]}"
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
for want in "$@"; do
	command -v "${want%%:*}" >/dev/null || { echo "still missing after the installation: ${want%%:*}" >&2; exit 1; }
done
