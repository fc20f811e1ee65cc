import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as codec from "./codec.ts";

describe("netlink encoding", () => {
  it("reads back the attributes it wrote, whatever their lengths", () => {
    const list = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.uint8Array({ maxLength: 40 })), {
      selector: ([type]) => type,
    });
    fc.assert(
      fc.property(list, (wanted) => {
        const bytes = Buffer.concat(wanted.map(([type, payload]) => codec.attribute(type, payload)));
        expect(bytes.length % 4).toBe(0);
        const read = new codec.Attributes(bytes);
        for (const [type, payload] of wanted) expect(read.bytes(type)).toEqual(Buffer.from(payload));
      }),
    );
  });

  it("lays out a nested attribute as the kernel's header says", () => {
    const bytes = codec.nested(18, codec.text(1, "veth"), codec.u32(2, 0x01020304), codec.be16(3, 4789));
    expect(bytes.toString("hex")).toBe("2000128009000100766574680000000008000200040302010600030012b50000");
    const read = new codec.Attributes(bytes).nested(18);
    expect([read?.text(1), read?.u32(2), read?.be16(3), read?.u8(4)]).toEqual(["veth", 0x01020304, 4789, undefined]);
  });

  it("splits a datagram into its messages and refuses one that is cut", () => {
    const datagram = Buffer.concat([codec.message(2, 4, 7, codec.u8(1, 9)), codec.message(3, 2, 7, Buffer.alloc(4))]);
    expect(codec.splitMessages(datagram).map((m) => [m.type, m.flags, m.sequence, m.body.length])).toEqual([
      [2, 4, 7, 8],
      [3, 2, 7, 4],
    ]);
    expect(() => codec.splitMessages(datagram.subarray(0, datagram.length - 1))).toThrow(RangeError);
  });

  it("never fails on bytes that are no attributes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const read = new codec.Attributes(Buffer.from(bytes));
        for (let type = 0; type < 8; type++) read.nested(type)?.u32(1);
      }),
    );
  });
});
