import { describe, expect, it } from "vitest";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { formatCidr } from "../net/cidr.ts";
import { newId, parseId } from "../ids/ids.ts";
import { PlenumError } from "./errors.ts";
import { addressField, cidrField, enumValue, integer, listOf, pageSize, requestId, required, text } from "./validate.ts";

/** Message of the refusal, or "accepted". */
const refusal = (check: () => unknown): string => {
  try {
    check();
  } catch (error) {
    if (error instanceof PlenumError) {
      expect(error.violations).toHaveLength(1);
      return error.message;
    }
    throw error;
  }
  return "accepted";
};

describe("validation", () => {
  it.each<[string, () => unknown, string]>([
    ["an absent value", () => required(undefined, "network"), "network is missing: it is required"],
    ["an empty text", () => text("", "name", { max: 5 }), "name is missing: give 1 to 5 characters"],
    ["a long text", () => text("abcdef", "name", { max: 5 }), "name has 6 characters: give 1 to 5"],
    ["characters, not UTF-16 units", () => text("😀😀😀😀😀", "name", { max: 5 }), "accepted"],
    ["a number outside", () => integer(70_000, "port", { min: 1, max: 65_535 }), "port is 70000: give 1 to 65535"],
    ["a fraction", () => integer(1.5, "port", { min: 1, max: 9 }), "port is 1.5: give 1 to 9"],
    ["a long list", () => listOf([1, 2, 3], "ids", { max: 2 }), "ids has 3 items: give 0 to 2"],
    [
      "host bits",
      () => cidrField("10.0.0.1/16", "cidr_block", {}),
      'cidr_block is "10.0.0.1/16": its host bits are not zero; did you mean 10.0.0.0/16?',
    ],
    ["no block", () => cidrField("10.0.0.0/33", "cidr_block", {}), 'cidr_block is "10.0.0.0/33": give a CIDR block ("10.0.0.0/16")'],
    ["a wrong family", () => cidrField("fd00::/64", "cidr_block", { family: 4 }), 'cidr_block is "fd00::/64": give an IPv4 block'],
    [
      "a prefix too short",
      () => cidrField("10.0.0.0/8", "cidr_block", { minPrefix: 16, maxPrefix: 28 }),
      'cidr_block is "10.0.0.0/8": the prefix length must be 16 to 28',
    ],
    ["no address", () => addressField("10.0.0.256", "address"), 'address is "10.0.0.256": give an IP address'],
    ["an address of the other family", () => addressField("::1", "address", 4), "address is ::1: give an IPv4 address"],
    ["a big page", () => pageSize(1_001), "page_size is 1001: give 1 to 1000"],
    ["a request id with a space", () => requestId("a b"), 'request_id is "a b": give up to 128 printable ASCII characters, without spaces'],
    ["no enum value", () => enumValue(0, Role, "role"), "role is missing: give one of OPERATOR, OWNER, VIEWER, MEMBER"],
    ["an unknown enum value", () => enumValue(9, Role, "role"), "role is 9: give one of OPERATOR, OWNER, VIEWER, MEMBER"],
    ["no id", () => parseId("i", "", "instance_id"), "instance_id is missing: give the id of an instance (i-…)"],
    ["no id", () => parseId("vpc", "", "vpc_id"), "vpc_id is missing: give the id of a VPC (vpc-…)"],
    [
      "another kind's id",
      () => parseId("vpc", `subnet-${"0".repeat(32)}`, "vpc_id"),
      `vpc_id is "subnet-${"0".repeat(32)}": an id of a VPC is vpc- and 32 hexadecimal digits`,
    ],
  ])("%s", (_what, check, message) => {
    expect(refusal(check)).toBe(message);
  });

  it("hands over what it accepts", () => {
    expect(formatCidr(cidrField("10.0.0.0/16", "c"))).toBe("10.0.0.0/16");
    expect(pageSize(0)).toBe(100);
    expect(enumValue(2, Role, "role")).toBe(Role.OWNER);
    const id = newId("eni-attach");
    expect(parseId("eni-attach", id, "id")).toBe(id);
  });
});
