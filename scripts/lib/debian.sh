# shellcheck shell=bash
# Debian packages: which, how to see that one is there, and why. Needs say.sh.

# package | probe | needed by | why.  Probes: a command, /a/file, lib:soname, py:module (of Debian's own Python).
PACKAGES='
clang                   | clang                       | run check | compiles the BPF program
llvm                    | llvm-strip                  | run check | strips the BPF program
libbpf-dev              | /usr/include/bpf/bpf_helpers.h | run check | headers of the BPF program
libbpf1                 | lib:libbpf.so.1             | run check | loads the BPF program
bpftool                 | bpftool                     | run check | reads the layout of the BPF maps
nats-server             | nats-server                 | run check | carries hints between services
iproute2                | ip                          | run       | tells about devices and namespaces
iputils-ping            | ping                        | run       | pings from inside a guest
util-linux              | nsenter                     | run       | enters network namespaces
procps                  | ps                          | run       | lists processes
git                     | git                         | check     | lists the files that repository rules judge
tshark                  | tshark                      | test      | reads packets on the substrate
tcpdump                 | tcpdump                     | test      | shows packets in the guides
curl                    | curl                        | test      | asks for metrics
prometheus              | promtool                    | test      | judges metrics (only its promtool is used)
python3                 | /usr/bin/python3            | test      | runs a generated client
python3-grpcio          | py:grpc                     | test      | runs a generated client
python3-protobuf        | py:google.protobuf          | test      | runs a generated client
protobuf-compiler-grpc  | grpc_python_plugin          | test      | generates that client
protobuf-compiler       | protoc                      | test      | generates that client
qemu-system-x86         | qemu-system-x86_64          | floor     | boots the oldest kernel that is promised
iperf3                  | iperf3                      | bench     | sends what benchmarks measure
nftables                | nft                         | bench     | filters in the peer that we are compared with
openvswitch-switch      | ovs-vswitchd                | peer      | the switch under OVN, the peer that attaching is compared with
ovn-central             | ovn-northd                  | peer      | OVN, the peer that attaching is compared with
ovn-host                | ovn-controller              | peer      | OVN, the peer that attaching is compared with
'

package_present() {
  case $1 in
  /*) [ -e "$1" ] ;;
  lib:*) [ -n "$(find /lib/*-linux-gnu /usr/lib/*-linux-gnu /usr/local/lib -name "${1#lib:}*" -print -quit 2>/dev/null)" ] ;;
  py:*) /usr/bin/python3 -c "import ${1#py:}" 2>/dev/null ;;
  *) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
  esac
}

trim() { local t=${1#"${1%%[![:space:]]*}"}; echo "${t%"${t##*[![:space:]]}"}"; }

# install_debian_packages <need>...: those of the table with one of these needs, as far as they are missing.
install_debian_packages() {
  local package probe needs why need
  local -a missing=()
  local reasons=""
  while IFS='|' read -r package probe needs why; do
    package=$(trim "$package")
    [ -n "$package" ] || continue
    for need in "$@"; do
      case " $needs " in *" $need "*) ;; *) continue ;; esac
      package_present "$(trim "$probe")" && break
      missing+=("$package")
      reasons+="  $package: $(trim "$why")"$'\n'
      break
    done
  done <<<"$PACKAGES"
  [ ${#missing[@]} -gt 0 ] || return 0
  say "these Debian packages are missing:"
  printf '%s' "$reasons"
  command -v apt-get >/dev/null ||
    fail "there is no apt-get here: Plenum installs its packages on Debian 12 only" "install what is named above by other means and run again"
  [ "$(id -u)" = 0 ] || fail "only root can install them" "run as root: apt-get install ${missing[*]}"
  say "installing them with apt-get (services that they bring are not started)"
  apt_install "${missing[@]}" || fail "apt-get could not install: ${missing[*]}" "see its message above; Debian's package archive must be reachable"
}

# Without starting or enabling the daemons that come with some packages: we want the programs only.
apt_install() {
  local policy=/usr/sbin/policy-rc.d made=no rc=0 unit
  local -a units=()
  for unit in nats-server prometheus openvswitch-switch ovn-central ovn-host ovn-controller ovn-northd nftables iperf3; do [ -e "/lib/systemd/system/$unit.service" ] || units+=("$unit"); done
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    made=yes
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=300 update &&
    apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" >build/apt.log 2>&1 || rc=$?
  [ $rc = 0 ] || tail -n 20 build/apt.log >&2
  [ $made = no ] || rm -f $policy
  if [ -d /run/systemd/system ]; then
    for unit in "${units[@]}"; do systemctl disable --now "$unit" >/dev/null 2>&1 || true; done
  fi
  return $rc
}

require_root() {
  [ "$(id -u)" = 0 ] || fail "$1 makes network namespaces and loads BPF programs: only root may" "run it as root (sudo $1)"
}
