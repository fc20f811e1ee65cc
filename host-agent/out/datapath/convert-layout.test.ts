import { describe, expect, test } from "vitest";
import { DEFAULT_CONNECTION_LIMITS } from "./connections.ts";
import { conversion, isIdentical, NotCarried } from "./convert-layout.ts";
import type { FieldLayout, StructLayout } from "./describe-layout.ts";
import type { ElementLayout } from "./kernel-layout.ts";

const HASH = 1;
const LPM_TRIE = 11;
type Fields = Record<string, Partial<FieldLayout> & { size: number }>;

/** A struct whose fields follow each other without gaps. */
function struct(fields: Fields): StructLayout {
  let offset = 0;
  const placed = Object.entries(fields).map(([name, field]): [string, FieldLayout] => {
    const at = offset;
    offset += field.size;
    return [name, { offset: at, ...field }];
  });
  return { size: offset, fields: Object.fromEntries(placed) };
}

function layout(value: Fields, key: Fields = { id: { size: 4 } }, more: Partial<ElementLayout> & { inner?: Fields } = {}): ElementLayout {
  const { inner = { one: { size: 1 } }, ...rest } = more;
  const structs = { key: struct(key), value: struct(value), inner: struct(inner) };
  return { type: HASH, keySize: structs.key.size, valueSize: structs.value.size, key: "key", value: "value", structs, ...rest };
}

const value = (from: ElementLayout, to: ElementLayout, bytes: number[], defaults = {}): number[] => [
  ...conversion(from, to, defaults).value(Buffer.from(bytes)),
];

describe("elements of another layout", () => {
  test("keep their fields by name, wherever those lie now; what is new is zero, or its default", () => {
    const from = layout({ a: { size: 2 }, gone: { size: 1 }, b: { size: 1 } });
    const to = layout({ b: { size: 1 }, fresh: { size: 2 }, a: { size: 2 } });
    expect(value(from, to, [1, 2, 3, 4])).toEqual([4, 0, 0, 1, 2]);
    expect(value(from, to, [1, 2, 3, 4], { value: { fresh: Buffer.from([7, 8]) } })).toEqual([4, 7, 8, 1, 2]);
    expect([...conversion(from, to).key(Buffer.from([1, 2, 3, 4]))]).toEqual([1, 2, 3, 4]);
  });

  test("of budgets from before there were shares have the share that a new one has", () => {
    const named = (fields: Fields): ElementLayout => ({
      ...layout(fields),
      ...{ value: "connection_budget", structs: { key: struct({ id: { size: 4 } }), connection_budget: struct(fields) } },
    });
    const before = named({ limit: { size: 4 } });
    const now = named({ limit: { size: 4 }, share: { size: 4 } });
    const made = conversion(before, now).value(Buffer.from([1, 2, 3, 4]));
    expect([made.readUInt32LE(), made.readUInt32LE(4)]).toEqual([0x04030201, DEFAULT_CONNECTION_LIMITS.share]);
  });

  test("may have grown: numbers, arrays, structs inside, also in arrays", () => {
    expect(value(layout({ n: { size: 2 } }), layout({ n: { size: 4 } }), [1, 2])).toEqual([1, 2, 0, 0]);
    const words = (size: number, length: number): Fields => ({ w: { size, length } });
    expect(value(layout(words(4, 2)), layout(words(12, 3)), [1, 0, 2, 0])).toEqual([1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    const list = (size: number): Fields => ({ list: { size, length: 2, struct: "inner" } });
    const from = layout(list(2), undefined, { inner: { one: { size: 1 } } });
    const to = layout(list(4), undefined, { inner: { two: { size: 1 }, one: { size: 1 } } });
    expect(value(from, to, [5, 6], { inner: { two: Buffer.from([9]) } })).toEqual([9, 5, 9, 6]);
  });

  test("that are plain numbers stay", () => {
    const plain = layout({}, {}, { key: undefined, value: undefined, keySize: 4, valueSize: 4 });
    expect(value(plain, plain, [1, 2, 3, 4])).toEqual([1, 2, 3, 4]);
  });

  test.each<[string, ElementLayout, ElementLayout]>([
    ["a number that shrank", layout({ n: { size: 4 } }), layout({ n: { size: 2 } })],
    ["an array that shrank", layout({ n: { size: 4, length: 2 } }), layout({ n: { size: 2, length: 1 } })],
    ["a number that became an array", layout({ n: { size: 4 } }), layout({ n: { size: 4, length: 2 } })],
    ["a number that became a struct", layout({ n: { size: 1 } }), layout({ n: { size: 1, struct: "inner" } })],
    ["a key that lost a field", layout({}, { a: { size: 1 }, b: { size: 1 } }), layout({}, { a: { size: 1 } })],
    [
      "a prefix tree with another key",
      layout({}, { a: { size: 1 } }, { type: LPM_TRIE }),
      layout({}, { a: { size: 2 } }, { type: LPM_TRIE }),
    ],
    ["a struct that is not described", layout({ n: { size: 1, struct: "missing" } }), layout({ n: { size: 1, struct: "missing" } })],
    ["a struct that became a plain number", layout({}), layout({}, undefined, { value: undefined })],
  ])("are not carried: %s", (_, from, to) => {
    expect(() => conversion(from, to)).toThrow(NotCarried);
  });

  test("are the same only if each byte means the same", () => {
    const one = layout({ a: { size: 1 }, s: { size: 1, struct: "inner" } });
    expect(isIdentical(one, layout({ a: { size: 1 }, s: { size: 1, struct: "inner" } }), "value")).toBe(true);
    expect(isIdentical(one, layout({ b: { size: 1 }, s: { size: 1, struct: "inner" } }), "value")).toBe(false);
    const other = layout({ a: { size: 1 }, s: { size: 1, struct: "inner" } }, undefined, { inner: { two: { size: 1 } } });
    expect(isIdentical(one, other, "value")).toBe(false);
  });
});
