import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { generateLayout, LAYOUT_FILE } from "./generate-layout.ts";
import { describeLayout } from "./describe-layout.ts";
import { buildBpf } from "../../bpf/build.ts";
import { DROP_REASONS, SCHEMA, STRUCTS } from "./layout.gen.ts";
import { readDropReasons } from "./render-layout.ts";

describe("layout.gen.ts", () => {
  test("is what the C sources say now", async () => {
    expect(readFileSync(LAYOUT_FILE, "utf8")).toBe(await generateLayout());
  });

  test("describes the object that is loaded", () => {
    const layout = describeLayout(readFileSync(buildBpf().objectPath));
    expect(layout.schema).toBe(SCHEMA);
    expect(layout.maps["mappings"]).toMatchObject({
      keySize: STRUCTS.mapping_key.size,
      valueSize: STRUCTS.mapping.size,
      key: "mapping_key",
    });
  });

  test("names each drop reason once, in a slot that exists", () => {
    const numbers = DROP_REASONS.map((r) => r.number);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(Math.max(...numbers)).toBeLessThan(STRUCTS.drop_counters.fields.count.length);
  });

  test("refuses a header that disagrees with the object", () => {
    const layout = describeLayout(readFileSync(buildBpf().objectPath));
    expect(() => readDropReasons('REASON(1, SOMETHING_ELSE, "text")', layout)).toThrow("disagree");
  });

  test("refuses a file that is no object", () => {
    expect(() => describeLayout(Buffer.from("not an object at all, but long enough to have had a header in it......"))).toThrow("ELF");
  });
});
