#!/usr/bin/env bash
# Brings a fresh clone to where `npm run <what>` works: locked npm packages, Debian packages, the BPF object.
# Says what it is going to do before it does it. Safe to repeat, and at the same time in another clone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
what=${1:?usage: scripts/bootstrap.sh <demo|up|test|check|bench>}

. scripts/lib/debian.sh
case $what in
demo | up | bench) require_root "npm run $what" ;;
esac
{ mkdir -p build && touch build/bootstrap.lock; } 2>/dev/null || fail "this clone cannot be written to" "run as the user that owns it"
exec 9>build/bootstrap.lock
flock 9 # two runs in one clone: the second waits and then finds everything there

command -v node >/dev/null || fail "Node is not installed" "install Node 20 or later with npm: it only brings the Node of the lockfile"
command -v npm >/dev/null || fail "npm is not installed" "apt-get install npm"

. scripts/lib/npm.sh
install_npm_packages

case $what in
demo | up) install_debian_packages run ;;
check) install_debian_packages check ;;
bench)
  install_debian_packages run bench
  # Its own shell: `fail` ends that one only.
  (install_debian_packages peer) || say "going on without OVN: bench/attach.ts compares with the kernel's own steps instead"
  ;;
test)
  # Without root no kernel test will run, so what only those need is not asked for.
  if [ "$(id -u)" = 0 ]; then
    install_debian_packages run test
    # In shells of their own: without them the rest is tested all the same, and the last lines say that this was not.
    (install_debian_packages floor) && (. scripts/lib/floor.sh && fetch_floor_kernel) || say "going on without the kernel floor"
  else install_debian_packages check; fi
  ;;
esac

. scripts/lib/kernel.sh
case $what in
demo | up | bench) require_kernel ;;
esac

PATH="$PWD/node_modules/.bin:$PATH" node scripts/build-bpf.ts
