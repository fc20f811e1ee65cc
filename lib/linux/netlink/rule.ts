import { hasCode } from "../errno.ts";
import { AF_INET, AF_INET6 } from "../libc.ts";
import { addressBytes, addressText } from "./address-bytes.ts";
import { attribute, Attributes, NLM_F_CREATE, NLM_F_EXCL, text, u32, u8 } from "./codec.ts";
import { PROTOCOL_PLENUM } from "./route.ts";
import type { NetlinkSocket } from "./socket.ts";

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
const FRA_OIFNAME = 17;
const FRA_PROTOCOL = 21;
const FR_ACT_TO_TBL = 1;

/** Which table routes a packet: by its source address, or by the device that its socket is bound to. */
export type Rule = { table: number; priority: number } & ({ from: string } | { outDevice: string; family: 4 | 6 });

/** struct fib_rule_hdr and attributes. */
function body(rule: Rule): Buffer {
  const from = "from" in rule ? addressBytes(rule.from) : undefined;
  const header = Buffer.alloc(12);
  header.writeUInt8(from?.family ?? ("family" in rule && rule.family === 6 ? AF_INET6 : AF_INET), 0);
  header.writeUInt8(from === undefined ? 0 : from.bytes.length * 8, 2);
  header.writeUInt8(rule.table < 256 ? rule.table : 0, 4);
  header.writeUInt8(FR_ACT_TO_TBL, 7);
  return Buffer.concat([
    header,
    from === undefined ? Buffer.alloc(0) : attribute(FRA_SRC, from.bytes),
    "outDevice" in rule ? text(FRA_OIFNAME, rule.outDevice) : Buffer.alloc(0),
    u32(FRA_PRIORITY, rule.priority),
    u32(FRA_TABLE, rule.table),
    u8(FRA_PROTOCOL, PROTOCOL_PLENUM),
  ]);
}

/** One that is there already stays. */
export function addRule(nl: NetlinkSocket, rule: Rule): void {
  try {
    nl.change(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, body(rule), `rule ${JSON.stringify(rule)}`);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}

/** Not there: no effect. */
export function deleteRule(nl: NetlinkSocket, rule: Rule): void {
  try {
    nl.change(RTM_DELRULE, 0, body(rule), `delete rule ${JSON.stringify(rule)}`);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

/** The rules that carry our mark, both families. */
export function getOwnRules(nl: NetlinkSocket): Rule[] {
  return nl.dump(RTM_GETRULE, Buffer.alloc(12), "list routing rules").flatMap(({ body: answer }) => {
    const attributes = new Attributes(answer.subarray(12));
    if (attributes.u8(FRA_PROTOCOL) !== PROTOCOL_PLENUM) return [];
    const common = { table: attributes.u32(FRA_TABLE) ?? answer.readUInt8(4), priority: attributes.u32(FRA_PRIORITY) ?? 0 };
    const from = attributes.bytes(FRA_SRC);
    if (from !== undefined) return { ...common, from: addressText(from) };
    const outDevice = attributes.text(FRA_OIFNAME);
    return outDevice === undefined ? [] : { ...common, outDevice, family: answer.readUInt8(0) === AF_INET6 ? 6 : 4 };
  });
}
