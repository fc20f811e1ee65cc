import { describe, expect, it } from "vitest";
import { PlenumError } from "./errors.ts";
import { descriptionField, displayName, nameFault, soughtName } from "./name.ts";

const refusal = (check: () => unknown): string => {
  try {
    check();
  } catch (error) {
    if (!(error instanceof PlenumError)) throw error;
    expect(error.violations).toHaveLength(1);
    return error.message;
  }
  return "accepted";
};

describe("a name", () => {
  it.each([
    ["letters of any script, marks, digits, signs, a space", "Zoë’s 東京 नमस्ते-web_1 (α) 😀"],
    ["nothing, where none is needed", ""],
  ])("may be %s", (_title, value) => {
    expect(refusal(() => displayName(value, "name"))).toBe("accepted");
  });

  it.each([
    ["a control character", "a\u0007", "U+0007 as its character 2"],
    ["a line feed", "a\nb", "U+000A as its character 2"],
    ["one of the second set", "a\u0085b", "U+0085 as its character 2"],
    ["one that turns the order", "😀a\u202Eb", "U+202E as its character 3"],
    ["an isolate", "\u2066a", "U+2066 as its character 1"],
    ["a mark of order", "a\u200F", "U+200F as its character 2"],
    ["one of no width", "al\u200Bice", "U+200B as its character 3"],
    ["a joiner", "al\u200Dice", "U+200D as its character 3"],
    ["a mark of the byte order", "\uFEFFalice", "U+FEFF as its character 1"],
    ["a soft hyphen", "al\u00ADice", "U+00AD as its character 3"],
    ["a variation selector", "alice\uFE0F", "U+FE0F as its character 6"],
    ["a filler", "alice\u3164", "U+3164 as its character 6"],
    ["a tag character", "alice\u{E0041}", "U+E0041 as its character 6"],
    ["a blank pattern of dots", "\u2800", "U+2800 as its character 1"],
    ["a space that is none", "al\u00A0ice", "U+00A0 as its character 3"],
    ["a line separator", "al\u2028ice", "U+2028 as its character 3"],
    ["half a pair", "al\uD800ice", "U+D800 as its character 3"],
    ["one of private use", "al\uE000ice", "U+E000 as its character 3"],
  ])("holds nothing that is not seen: %s", (_title, value, fact) => {
    expect(refusal(() => displayName(value, "vpc.name"))).toBe(`vpc.name has ${fact}: use characters that are seen`);
  });

  it.each([" a", "a ", " "])("has no white space around it: %j", (value) => {
    expect(refusal(() => displayName(value, "name"))).toBe("name begins or ends with white space: leave it out");
  });

  it("says nothing of one that is right, for whoever refuses in another way", () => {
    expect(nameFault("alice")).toBeUndefined();
    expect(nameFault("alice\u200b")?.fact).toBe("has U+200B as its character 6");
  });

  it("has a length", () => {
    expect(refusal(() => displayName("abc", "name", { max: 2 }))).toBe("name has 3 characters: give 0 to 2");
    expect(refusal(() => displayName("", "name", { min: 1 }))).toBe("name is missing: give 1 to 128 characters");
  });
});

describe("a description", () => {
  it("may have lines, and signs with their variants", () => {
    expect(refusal(() => descriptionField("first\n\nsecond ⚠️ 10\u00A0h", "description"))).toBe("accepted");
  });

  it.each([
    ["first\r\nsecond", "has U+000D as its character 6: use characters that are seen"],
    ["a\u202Eb", "has U+202E as its character 2: use characters that are seen"],
    ["a\n", "begins or ends with white space: leave it out"],
    ["x".repeat(257), "has 257 characters: give 0 to 256"],
  ])("%j is none", (value, told) => {
    expect(refusal(() => descriptionField(value, "description"))).toBe(`description ${told}`);
  });
});

it("what was named before there were rules can be looked for", () => {
  expect(refusal(() => soughtName(" al\u200Bice ", "principal_id"))).toBe("accepted");
  expect(refusal(() => soughtName("a\u0000", "principal_id"))).toBe("principal_id has a control character: use printable characters");
  expect(refusal(() => soughtName("abc", "principal_id", { max: 2 }))).toBe("principal_id has 3 characters: give 0 to 2");
});
