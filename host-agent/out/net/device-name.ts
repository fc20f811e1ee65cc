/** Longest interface alias that we write; the kernel's limit is 255. */
const ALIAS = /^plenum:([^:\s]{1,200}):(\d{1,3})$/;
const HOST_NAME = /^pv([0-9a-f]{8})$/;

/** Name of the host-side device of an attachment: 10 of the 15 characters a name may have, and the wire id can be read back. */
export function hostDeviceName(wireId: number): string {
  if (!Number.isInteger(wireId) || wireId < 1 || wireId > 0xffffffff) throw new RangeError(`not a wire id: ${wireId}`);
  return `pv${wireId.toString(16).padStart(8, "0")}`;
}

/** The wire id in a device's name; undefined for other devices. */
export function wireIdOf(deviceName: string): number | undefined {
  const hex = HOST_NAME.exec(deviceName)?.[1];
  return hex === undefined || hex === "00000000" ? undefined : parseInt(hex, 16);
}

/** What the guest sees. */
export function guestDeviceName(deviceIndex: number): string {
  if (!Number.isInteger(deviceIndex) || deviceIndex < 0 || deviceIndex > 255) throw new RangeError(`not a device index: ${deviceIndex}`);
  return `eth${deviceIndex}`;
}

/** Whose device it is: kept in the kernel beside the device, so that a restarted agent needs no file to know. */
export interface Owner {
  instanceId: string;
  deviceIndex: number;
}

export function aliasOf(owner: Owner): string {
  const alias = `plenum:${owner.instanceId}:${owner.deviceIndex}`;
  if (!ALIAS.test(alias)) throw new RangeError(`not an instance id: ${JSON.stringify(owner.instanceId)}`);
  return alias;
}

export function ownerOf(alias: string): Owner | undefined {
  const [, instanceId, deviceIndex] = ALIAS.exec(alias) ?? [];
  return instanceId === undefined ? undefined : { instanceId, deviceIndex: Number(deviceIndex) };
}
