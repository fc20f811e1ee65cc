import { expect, test } from "vitest";
import { storable } from "./storable.ts";

test("a text becomes one that every column holds: no NUL, not too long, no half of a character", () => {
  expect(storable("a\0b", 10)).toBe("ab");
  expect(storable("abc", 2)).toBe("ab");
  expect(storable("ab😀", 4)).toBe("ab😀");
  // As jsonb half of a pair of UTF-16 is an error, as text something else.
  expect(storable("ab😀", 3)).toBe("ab\ufffd");
  expect(storable("\udc00", 3)).toBe("\ufffd");
});
