# shellcheck shell=bash
# One form for what a person reads.

say() { echo "plenum: $*"; }

# fail <what is missing> <what to do>
fail() {
  echo "plenum: $1" >&2
  echo "  remedy: $2" >&2
  exit 1
}
