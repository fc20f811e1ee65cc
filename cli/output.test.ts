import { expect, it } from "vitest";
import { Vpc } from "#gen/plenum/network/v1/vpc.ts";
import { formatList, formatOne } from "./output.ts";
import { vpcs } from "./tables.ts";

const vpc = Vpc.fromPartial({ vpcId: "vpc-1", cidrBlock: "10.0.0.0/16", networkId: 7n, tags: { a: "b" } });

it("shows one line a resource, nothing as a dash", () => {
  expect(formatList("table", vpcs, [vpc]).split("\n")).toEqual([
    "VPC    NAME  CIDR         NETWORK  OWNER",
    "vpc-1  -     10.0.0.0/16  7        -",
  ]);
});

it("shows every field that is set of one resource, named as in the proto", () => {
  expect(formatOne("table", vpcs, vpc)).toBe(
    ["vpc_id      vpc-1", "cidr_block  10.0.0.0/16", "network_id  7", 'tags        {"a":"b"}'].join("\n"),
  );
});

it("writes proto JSON, 64-bit numbers as text", () => {
  expect(JSON.parse(formatList("json", vpcs, [vpc]))).toEqual({
    vpcs: [{ vpcId: "vpc-1", cidrBlock: "10.0.0.0/16", networkId: "7", tags: { a: "b" } }],
  });
  expect(JSON.parse(formatOne("json", vpcs, vpc))).toMatchObject({ networkId: "7" });
});

it("writes ids alone, one a line, for loops", () => {
  expect(formatList("id", vpcs, [vpc, Vpc.fromPartial({ vpcId: "vpc-2" })])).toBe("vpc-1\nvpc-2");
  expect(formatList("id", vpcs, [])).toBe("");
  expect(formatOne("id", vpcs, vpc)).toBe("vpc-1");
});
