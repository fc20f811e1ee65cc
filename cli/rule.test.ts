import { expect, it } from "vitest";
import { CliError } from "./cli-error.ts";
import { formatRule, parseRule, ruleGroup } from "./rule.ts";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";

it("reads direction, protocol, ports and the other side", () => {
  expect(parseRule("ingress:tcp:80:10.0.0.0/8")).toMatchObject({
    direction: Direction.INGRESS,
    protocol: Protocol.TCP,
    portFrom: 80,
    portTo: 80,
    peer: { $case: "cidr", value: "10.0.0.0/8" },
  });
  expect(parseRule("egress:udp:1000-2000:0.0.0.0/0")).toMatchObject({ portFrom: 1000, portTo: 2000 });
  const group = `sg-${"0".repeat(32)}`;
  expect(parseRule(`ingress:tcp:80:${group}`).peer).toEqual({ $case: "securityGroupId", value: group });
  expect(parseRule("ingress:47:10.0.0.0/8")).toMatchObject({ protocol: Protocol.UNSPECIFIED, protocolNumber: 47, portFrom: 0, portTo: 0 });
  expect(formatRule({ ...parseRule("ingress:tcp:10.0.0.0/8"), protocol: Protocol.NUMBERED, protocolNumber: 47 })).toBe(
    "ingress:47:10.0.0.0/8",
  );
  expect(parseRule("egress:any:0.0.0.0/0")).toMatchObject({ protocol: Protocol.UNSPECIFIED, portFrom: 0, portTo: 0 });
});

it.each([
  "ingress:tcp:80:10.0.0.0/8",
  "egress:udp:1000-2000:0.0.0.0/0",
  "egress:any:0.0.0.0/0",
  "ingress:icmp:8:10.1.0.0/16",
  "ingress:47:10.1.0.0/16",
  "ingress:132:80-90:10.1.0.0/16",
  `ingress:tcp:80:sg-${"0".repeat(32)}`,
])("writes %s back as it was", (text) => {
  expect(formatRule(parseRule(text))).toBe(text);
});

it.each([
  "",
  "in:tcp:80:10.0.0.0/8",
  "ingress:0:10.0.0.0/8",
  "ingress:1000:10.0.0.0/8",
  "ingress:sctp:80:10.0.0.0/8",
  "ingress:tcp:80",
  "ingress:tcp:a-b:10.0.0.0/8",
  "ingress:tcp:80:10.0.0.0/8 ",
  "ingress:tcp:80:sg-1",
])("refuses %j with the remedy", (text) => {
  expect(() => parseRule(text)).toThrow(CliError);
});

it("finds a group's name where a rule has one", () => {
  expect(["ingress:tcp:80:web", "egress:any:my web", "ingress:udp:1-9:10th", "ingress:47:gre"].map(ruleGroup)).toEqual([
    "web",
    "my web",
    "10th",
    "gre",
  ]);
  const none = ["ingress:tcp:80:10.0.0.0/8", `ingress:any:sg-${"0".repeat(32)}`, "ingress:tcp:80", "ingress:tcp:80-90", "ingress", "x"];
  expect(none.map(ruleGroup)).toEqual(none.map(() => undefined));
});
