# shellcheck shell=bash
# What the kernel must be able to do; tried, not guessed. Needs say.sh, root and iproute2.

# Prints one line for each thing that is missing: what | remedy. Nothing: all is there.
missing_kernel_features() {
  local standard="run Debian's standard kernel (linux-image-$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')), 6.1 or later"
  if ! unshare --net true 2>/dev/null; then
    echo "this process may not make network namespaces|run on the machine itself, or in a container with all privileges"
    return
  fi
  grep -qw bpf /proc/filesystems || echo "the kernel has no BPF file system (CONFIG_BPF_SYSCALL)|$standard"
  [ -e /proc/sys/net/core/bpf_jit_enable ] || echo "the kernel has no BPF compiler (CONFIG_BPF_JIT)|$standard"
  local sets="ip link add p0 type veth peer name p1
ip link add p2 type vxlan external dstport 4789
ip link add p3 type bridge
ip link add p0 type veth peer name p1 && tc qdisc add dev p0 clsact"
  local names=("veth devices (CONFIG_VETH)" "VXLAN devices (CONFIG_VXLAN)" "bridges (CONFIG_BRIDGE)" "the clsact qdisc (CONFIG_NET_CLS_ACT, CONFIG_NET_CLS_BPF)")
  local line i=0
  while read -r line; do
    unshare --net sh -c "$line" 2>/dev/null || echo "the kernel has no ${names[$i]}|$standard"
    i=$((i + 1))
  done <<<"$sets"
}

require_kernel() {
  local missing what remedy
  missing=$(PATH="$PATH:/usr/sbin:/sbin" missing_kernel_features)
  [ -n "$missing" ] || return 0
  while IFS='|' read -r what remedy; do
    echo "plenum: $what" >&2
    echo "  remedy: $remedy" >&2
  done <<<"$missing"
  exit 1
}
