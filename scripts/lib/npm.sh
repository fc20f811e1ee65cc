# shellcheck shell=bash
# The locked npm packages. Needs say.sh.

install_npm_packages() {
  if node scripts/lib/lock-matches.mjs; then return; fi
  say "installing the locked npm packages into node_modules (npm ci)"
  npm ci --no-audit --no-fund --loglevel=error ||
    fail "npm ci did not finish" "see npm's message above; the npm registry must be reachable"
  node scripts/lib/lock-matches.mjs ||
    fail "node_modules does not match package-lock.json after npm ci" "remove node_modules and run again; if it stays so, package-lock.json is broken"
  node_modules/.bin/node --version >/dev/null ||
    fail "the locked Node does not run on this machine ($(uname -m))" "Plenum runs on x86-64 and arm64 Linux with glibc"
}
