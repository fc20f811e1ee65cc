import type { ResourceRef } from "../../call/api.ts";

/** Hosts are nobody's but the operator's: to others they are not there. */
export const hostRef = (hostId: string): ResourceRef => ({ kind: "host", id: hostId, ownerAccount: "" });
