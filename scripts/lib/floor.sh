# shellcheck shell=bash
# Debian 12's own kernel, the floor, for scripts/floor.ts: fetched into build/floor and not installed.

floor_package() {
  apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-6\.1\.[^ ]*\)$/\1/p' | head -n 1
}

fetch_floor_kernel() {
  [ -e build/floor/vmlinuz ] && return 0
  [ "$(uname -m)" = x86_64 ] || return 1
  local work=build/floor/fetch.$$ package
  package=$(floor_package)
  [ -n "$package" ] || { apt-get -qq update >&2 && package=$(floor_package); }
  [ -n "$package" ] || return 1
  mkdir -p "$work" && chmod 777 "$work" # apt's downloads are made by an account of its own
  if (cd "$work" && apt-get -qq download "$package" >&2 && dpkg -x ./*.deb .); then
    mv "$work"/boot/vmlinuz-* build/floor/vmlinuz.new
    (cd "$work/boot" && echo "$package") >build/floor/version
    mv build/floor/vmlinuz.new build/floor/vmlinuz
  fi
  rm -rf "$work"
  [ -e build/floor/vmlinuz ]
}
