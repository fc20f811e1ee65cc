#!/usr/bin/env bash
# npm run demo | up | test | check | bench: install what is missing, then run the thing under the Node of the lockfile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

what=${1:-}
[ $# -gt 0 ] && shift
case $what in
demo | up | test | check | bench) ;;
*)
  echo "usage: scripts/run.sh <demo|up|test|check|bench> [arguments]" >&2
  exit 2
  ;;
esac

bash scripts/bootstrap.sh "$what"

# From here on `node` is the one that the lockfile names, whatever the machine has.
export PATH="$PWD/node_modules/.bin:$PATH"
# TypeScript is stripped and compiled once for all the processes of a run, not by each of them.
export NODE_COMPILE_CACHE="$PWD/build/compile-cache"
case $what in
demo) exec node cli/demo/main.ts "$@" ;;
up) exec node cli/main.ts up "$@" ;;
test) exec node scripts/test.ts "$@" ;;
check) exec node scripts/test.ts --quick "$@" ;;
bench) exec node scripts/bench.ts "$@" ;;
esac
