/** The headers that hosts put between a guest's packet and the substrate (D2), written from the decision and not from the program. */

function checksum(header: Buffer): number {
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const octets = (address: string) => Buffer.from(address.split(".").map(Number));

/** `02`, the 32-bit id, eight spare bits. */
function idMac(id: number): Buffer {
  const mac = Buffer.alloc(6);
  mac[0] = 0x02;
  mac.writeUInt32BE(id, 1);
  return mac;
}

export interface TunnelPacket {
  vni: number;
  wireId: number;
  groupSetId: number;
  source: string;
  destination: string;
  port: number;
  payload: string;
}

/** A UDP datagram from guest to guest as it travels in a VXLAN packet's payload (RFC 7348). */
export function tunnelPacket(p: TunnelPacket): Buffer {
  const data = Buffer.from(p.payload);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(40_000, 0);
  udp.writeUInt16BE(p.port, 2);
  udp.writeUInt16BE(8 + data.length, 4); // no checksum: allowed over IPv4
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip.writeUInt16BE(20 + udp.length + data.length, 2);
  ip[8] = 64;
  ip[9] = 17;
  octets(p.source).copy(ip, 12);
  octets(p.destination).copy(ip, 16);
  ip.writeUInt16BE(checksum(ip), 10);
  const vxlan = Buffer.alloc(8);
  vxlan[0] = 0x08;
  vxlan.writeUInt32BE(p.vni << 8, 4);
  return Buffer.concat([vxlan, idMac(p.wireId), idMac(p.groupSetId), Buffer.from([0x08, 0x00]), ip, udp, data]);
}
