import { createHash } from "node:crypto";
import type { JoinRequest } from "#gen/plenum/host/v1/host_feed.ts";
import { parseJoinToken } from "#lib/auth/join-token.ts";
import { formatAddress } from "#lib/net/address.ts";
import { hostBarred } from "#lib/rpc/barred.ts";
import { invalidArgument, unauthenticated } from "#lib/rpc/errors.ts";
import { addressField } from "#lib/rpc/validate.ts";
import { slug } from "../call/api.ts";
import type { Tx, WriteCall } from "../call/api.ts";
import type { HostRequest } from "./out/certificate-request.ts";
import { hostOfKey, insertHost, lockJoinToken, useJoinToken } from "./out/join-store.ts";
import type { JoinTokenRow } from "./out/join-store.ts";
import { renewKey } from "./out/session-store.ts";

/** Tokens are kept and looked up by this. */
export const tokenHash = (token: string): Uint8Array => createHash("sha256").update(token).digest();

const bad = (why: string): Error => unauthenticated(`the join token ${why}: ask an operator for a new one`, "BAD_JOIN_TOKEN");

/** What a joining machine says of itself, with its form checked. */
export interface CheckedJoin {
  readonly token: string;
  readonly name: string;
  readonly substrateAddress: string;
}

/** INVALID_ARGUMENT, or UNAUTHENTICATED (BAD_JOIN_TOKEN) for what is no token. */
export function checkJoin(request: JoinRequest): CheckedJoin {
  if (parseJoinToken(request.token) === undefined) throw bad("is not one");
  const name = slug(request.name, "name");
  const address = addressField(request.substrateAddress, "substrate_address", 4);
  if (address.value === 0n || address.value >= 0xe0000000n)
    throw invalidArgument("substrate_address", `is ${formatAddress(address)}`, "give the unicast address of its tunnel");
  return { token: request.token, name, substrateAddress: formatAddress(address) };
}

async function liveToken(tx: Tx, token: string): Promise<JoinTokenRow> {
  const row = await lockJoinToken(tx, tokenHash(token));
  if (row === undefined) throw bad("is unknown here");
  if (!row.live) throw bad("has expired");
  return row;
}

/**
 * Make the machine a host, or find the host that it is already: a repeat with the same key or one that it was renewed with, by this
 * token or another one, is the same host (C8). The key that it shows is its key from now on. Answers its id and zone, and who
 * made the token. PERMISSION_DENIED (HOST_BARRED).
 */
export async function joinHost(
  call: WriteCall,
  wanted: CheckedJoin,
  request: HostRequest,
): Promise<{ hostId: string; zoneId: string; invitedBy: string }> {
  const { keyFingerprint } = request;
  const token = await liveToken(call.tx, wanted.token);
  const known = await hostOfKey(call.tx, keyFingerprint);
  const free = token.key_fingerprint === null || token.key_fingerprint === keyFingerprint || token.host_id === known?.host_id;
  if (!free) throw bad("was used by another key");
  if (known !== undefined) {
    if (known.barred) throw hostBarred(known.host_id);
    if (known.name !== wanted.name)
      throw invalidArgument("name", `is ${wanted.name}`, `this key joined as ${known.name}; a host's name does not change`);
    if (known.substrate_address !== wanted.substrateAddress) {
      throw invalidArgument(
        "substrate_address",
        `is ${wanted.substrateAddress}`,
        `this key joined with ${known.substrate_address}; join with a new key to change it`,
      );
    }
    if (known.zone_id !== token.zone_id) throw bad(`is for zone ${token.zone_id}, this host is in ${known.zone_id}`);
    await renewKey(call.tx, known.host_id, keyFingerprint);
  }
  const hostId = known?.host_id ?? (await insertHost(call.tx, { ...wanted, zoneId: token.zone_id, keyFingerprint }));
  await useJoinToken(call.tx, tokenHash(wanted.token), hostId, keyFingerprint);
  return { hostId, zoneId: token.zone_id, invitedBy: token.created_by };
}
