import { closeSync } from "node:fs";
import { hasCode } from "../errno.ts";
import * as libc from "../libc.ts";
import { withNamespace } from "../namespace.ts";
import { splitMessages } from "./codec.ts";
import { parseLink, RTM_DELLINK, RTM_NEWLINK } from "./link.ts";
import type { Link } from "./link.ts";

const NETLINK_ROUTE = 0;
const NETLINK_ADD_MEMBERSHIP = 1;
const GROUPS = { link: 1, trafficControl: 4 };
/** RTM_NEWQDISC, RTM_DELQDISC, RTM_NEWTFILTER, RTM_DELTFILTER. */
const OF_FILTERS = new Set([36, 37, 44, 45]);
/** A kernel's notification is far shorter. */
const RECEIVE_BYTES = 64 * 1024;
/** Read at once at most; the rest is read the next time. */
const MAX_DATAGRAMS = 10_000;
const received = Buffer.allocUnsafeSlow(RECEIVE_BYTES);

/** What happened in a network namespace since it was last asked. */
export interface NetworkNews {
  /** Devices that came or changed, as they are now, by index; undefined: it went. */
  links: Map<number, Pick<Link, "carrier" | "mtu"> | undefined>;
  /** Devices whose traffic control changed: index numbers. */
  filters: Set<number>;
  /** So much happened that the kernel could not keep it: anything may have. */
  overrun: boolean;
}

/**
 * The kernel's notifications of one network namespace (RTNLGRP_LINK, RTNLGRP_TC). Node.js cannot wait for such a
 * socket, so it is asked: microseconds when nothing has happened.
 */
export class NetworkEvents {
  readonly #fd: number;

  /** @param namespace path of the namespace to hear of; the thread's own if absent */
  static open(namespace?: string): NetworkEvents {
    return namespace === undefined ? new NetworkEvents() : withNamespace(namespace, () => new NetworkEvents());
  }

  private constructor() {
    this.#fd = libc.socket("open a netlink socket for events", libc.AF_NETLINK, libc.SOCK_RAW | libc.SOCK_CLOEXEC, NETLINK_ROUTE);
    // One without an address of its own hears nothing; the kernel gives it one.
    const anyone = Buffer.alloc(12); // struct sockaddr_nl
    anyone.writeUInt16LE(libc.AF_NETLINK);
    libc.bind("give a netlink socket its address", this.#fd, anyone, anyone.length);
    for (const [name, group] of Object.entries(GROUPS)) {
      const value = Buffer.alloc(4);
      value.writeUInt32LE(group);
      libc.setsockopt(`subscribe to ${name} events`, this.#fd, libc.SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, value, value.length);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Never waits. @throws KernelError */
  take(): NetworkNews {
    const news: NetworkNews = { links: new Map(), filters: new Set(), overrun: false };
    for (let count = 0; count < MAX_DATAGRAMS; count++) {
      const length = this.#receive();
      if (length === undefined) break;
      if (length === "overrun" || length > RECEIVE_BYTES) {
        news.overrun = true;
        continue;
      }
      for (const { type, body } of splitMessages(Buffer.from(received.subarray(0, length)))) {
        if (type === RTM_NEWLINK) addLink(news, parseLink(body));
        else if (type === RTM_DELLINK) news.links.set(parseLink(body).ifindex, undefined);
        else if (OF_FILTERS.has(type) && body.length >= 8) news.filters.add(body.readInt32LE(4));
      }
    }
    return news;
  }

  /** Undefined: nothing is there. */
  #receive(): number | "overrun" | undefined {
    try {
      return libc.recv("read network events", this.#fd, received, RECEIVE_BYTES, libc.MSG_TRUNC | libc.MSG_DONTWAIT);
    } catch (error) {
      if (hasCode(error, "EAGAIN", "EWOULDBLOCK")) return undefined;
      if (hasCode(error, "ENOBUFS")) return "overrun";
      throw error;
    }
  }
}

function addLink(news: NetworkNews, { ifindex, carrier, mtu }: Link): void {
  news.links.set(ifindex, { carrier, mtu });
}
