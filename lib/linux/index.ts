/** What Plenum asks of the Linux kernel apart from BPF: namespaces, mounts, sysctl, route netlink. All synchronous, nothing forked. */
export { errnoName, hasCode, KernelError } from "./errno.ts";
export { tryLockFile, type Unlock } from "./file-lock.ts";
export { isBpffs, isMountPoint, mountBpffs, unmount } from "./mount.ts";
export { createNamedNamespace, deleteNamedNamespace, ensureNamedNamespace } from "./named-namespace.ts";
export { listNamedNamespaces, namespaceExists, namespacePath, NETNS_DIR } from "./named-namespace.ts";
export { inNewNamespace, OWN_NAMESPACE, withNamespace } from "./namespace.ts";
export { addAddress, deleteAddress, getAddresses, type InterfaceAddress } from "./netlink/address.ts";
export { NetworkEvents, type NetworkNews } from "./netlink/events.ts";
export { getIngressProgram } from "./netlink/filter.ts";
export { createBridge, createVeth, deleteGroup, deleteLink, getLink, getLinks, setLink } from "./netlink/link.ts";
export type { Link, LinkChange, NewVeth } from "./netlink/link.ts";
export { networkText, prefixText } from "./netlink/address-bytes.ts";
export { addNeighbour } from "./netlink/neighbour.ts";
export { deleteRoute, getOwnRoutes, putRoute, type Route } from "./netlink/route.ts";
export { addRule, deleteRule, getOwnRules, type Rule } from "./netlink/rule.ts";
export { NetlinkSocket, withNetlink } from "./netlink/socket.ts";
export { createVxlanExternal, isVxlanExternal, VXLAN_PORT } from "./netlink/vxlan.ts";
export { readSysctl, writeSysctl, writeSysctlsIn } from "./sysctl.ts";
