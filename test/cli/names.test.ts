import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTerminal } from "./support/terminal.ts";
import type { Plenum, Terminal } from "./support/terminal.ts";

// Names where ids may stand, for every kind that has names; and what a name never means.

let at: Terminal;
let acme: { accountId: string; plenum: Plenum };
let other: { accountId: string; plenum: Plenum };
/** Ids of acme's, by what they are called. */
const id: Record<string, string> = {};

/** The id that a command answers with. @throws Error with what it said instead */
async function made(plenum: Plenum, ...words: string[]): Promise<string> {
  const { code, out, err } = await plenum("-o", "id", ...words);
  if (code !== 0) throw new Error(`${words.join(" ")}: ${err}`);
  return out.trim();
}

beforeAll(async () => {
  at = await openTerminal();
  [acme, other] = [await at.customer("acme"), await at.customer("other")];
  const { plenum } = acme;
  for (const vpc of ["shop", "test"]) {
    id[vpc] = await made(plenum, "vpc", "create", "--name", vpc, "--cidr", "10.0.0.0/16", "--subnet", "10.0.0.0/24");
    id[`${vpc}/front`] = await made(plenum, "subnet", "create", "--vpc", vpc, "--cidr", "10.0.1.0/24", "--name", "front");
    id[`${vpc}/web`] = await made(plenum, "sg", "create", "web", "--vpc", vpc);
  }
  id["only"] = await made(plenum, "subnet", "create", "--vpc", "shop", "--cidr", "10.0.2.0/24", "--name", "only");
  id["main"] = await made(plenum, "eni", "create", "--subnet", "only", "--name", "main", "--group", "web");
  id["one"] = await made(plenum, "instance", "run", "--stopped", "--no-wait", "--name", "one", "--subnet", "only", "--group", "web");
}, 60_000);
afterAll(async () => await at?.stop());

describe("a name", () => {
  it.each([
    ["vpc get", "shop", "shop"],
    ["subnet get", "only", "only"],
    ["subnet get", "test/front", "test/front"],
    ["sg get", "shop/web", "shop/web"],
    ["eni get", "main", "main"],
    ["eni get", "shop/main", "main"],
    ["instance get", "one", "one"],
  ])("stands for the id: plenum %s %s", async (command, name, key) => {
    expect(await acme.plenum("-o", "id", ...command.split(" "), name)).toEqual({ code: 0, out: `${id[key]}\n`, err: "" });
    expect(await acme.plenum("-o", "id", ...command.split(" "), id[key]!)).toEqual({ code: 0, out: `${id[key]}\n`, err: "" });
  });

  it("counts where the command's other words lie: the groups of the record's own VPC", async () => {
    const groupsOf = async (eni: string) =>
      (JSON.parse((await acme.plenum("-o", "json", "eni", "get", eni)).out) as { securityGroupIds: string[] }).securityGroupIds;
    expect(await groupsOf("main")).toEqual([id["shop/web"]]);
    const second = await made(acme.plenum, "eni", "create", "--subnet", "test/front", "--group", "web");
    expect(await groupsOf(second)).toEqual([id["test/web"]]);
    expect(await made(acme.plenum, "eni", "update", second, "--wait", "committed", "--group", "default", "--group", "web")).toBe(second);
    expect(await groupsOf(second)).toContain(id["test/web"]);
    expect((await acme.plenum("-o", "id", "eni", "list", "--vpc", "test", "--group", "web")).out).toBe(`${second}\n`);
  });

  it("stands for a group in a rule", async () => {
    const rules = async (...words: string[]) => (await acme.plenum("-o", "json", "sg", "rules", "--wait", "committed", ...words)).out;
    expect(await rules("test/web", "ingress:tcp:80:web", "egress:any:default")).toContain(`"securityGroupId": "${id["test/web"]}"`);
    expect((await acme.plenum("sg", "rules", "test/web", "ingress:tcp:80:wbe")).err).toContain('no security group named "wbe"');
  });

  it("stands for an account or a host with an operator", async () => {
    expect((await at.operator("-o", "id", "account", "get", "acme")).out).toBe(`${acme.accountId}\n`);
    expect((await at.operator("-o", "id", "vpc", "list", "--owner", "acme")).out.trim().split("\n")).toHaveLength(2);
    expect((await at.operator("-o", "id", "subnet", "list", "--vpc", "shop")).out.trim().split("\n")).toHaveLength(3);
    const host = await at.host("h7", "zone-a");
    expect((await at.operator("-o", "id", "host", "get", "h7")).out).toBe(`${host}\n`);
  });

  it("stands for one's own account, and for its principals, in access lists", async () => {
    const eni = await made(acme.plenum, "eni", "create", "--subnet", "only", "--attacher", "acme/bob", "--modifier", other.accountId);
    const access = async (...words: string[]) => {
      await acme.plenum("eni", "access", eni, ...words);
      const { out } = await acme.plenum("-o", "json", "eni", "get", eni);
      return (JSON.parse(out) as { access: Record<string, { accountId: string; principalId?: string }[]> }).access;
    };
    expect((await access())["attachers"]).toMatchObject([{ accountId: acme.accountId, principalId: "bob" }]);
    const edited = await access("--add", "detacher=acme/carol", "--remove", "attacher=acme/bob", "--remove", `modifier=${other.accountId}`);
    expect(edited).toMatchObject({ detachers: [{ accountId: acme.accountId, principalId: "carol" }] });
    expect(edited["attachers"] ?? []).toEqual([]);
    expect(edited["modifiers"] ?? []).toEqual([]);
  });
});

describe("what is said", () => {
  it("of a name that several bear: all of them", async () => {
    const { code, err } = await acme.plenum("subnet", "get", "front");
    expect(code).toBe(2);
    expect(err).toContain('named "front"');
    for (const vpc of ["shop", "test"]) expect(err).toContain(`${id[`${vpc}/front`]} in ${id[vpc]}`);
    expect(err).toContain("<vpc>/front");
  });

  it("of a name that nothing bears: what there is", async () => {
    const { code, err } = await acme.plenum("vpc", "get", "shpo");
    expect(code).toBe(5);
    expect(err).toContain('there is no VPC named "shpo"');
    expect(err).toContain("there are shop, test");
  });

  it("of an id of something else, and of half an id", async () => {
    expect(await acme.plenum("subnet", "get", id["shop"]!)).toMatchObject({
      code: 2,
      err: expect.stringContaining("is a VPC, not a subnet") as string,
    });
    const half = await acme.plenum("subnet", "get", "subnet-…");
    expect(half).toMatchObject({ code: 5, err: expect.stringContaining("32 hexadecimal digits") as string });
  });

  it("of an id that is nobody's: what the server says", async () => {
    expect(await acme.plenum("vpc", "get", `vpc-${"0".repeat(32)}`)).toMatchObject({
      code: 5,
      err: expect.stringContaining("RESOURCE_NOT_FOUND") as string,
    });
  });
});

describe("a name never means", () => {
  it("what is somebody else's, though one may see it", async () => {
    await made(other.plenum, "vpc", "create", "--name", "theirs", "--cidr", "10.0.0.0/16", "--subnet", "10.0.0.0/24");
    const subnet = (await other.plenum("-o", "id", "subnet", "list")).out.trim();
    const lent = await made(other.plenum, "eni", "create", "--subnet", subnet, "--name", "lent", "--modifier", acme.accountId);
    expect((await acme.plenum("-o", "id", "eni", "list")).out).toContain(lent);
    expect(await acme.plenum("eni", "get", "lent")).toMatchObject({ code: 5, err: expect.stringContaining("named by its id") as string });
    expect((await acme.plenum("-o", "id", "eni", "get", lent)).out).toBe(`${lent}\n`);
    // Nor is it in the way of one's own.
    await made(other.plenum, "eni", "create", "--subnet", subnet, "--name", "main", "--modifier", acme.accountId);
    expect((await acme.plenum("-o", "id", "eni", "get", "main")).out).toBe(`${id["main"]}\n`);
  });

  it("an instance that is over while one of its name lives", async () => {
    const run = () => made(acme.plenum, "instance", "run", "--stopped", "--no-wait", "--name", "phoenix", "--subnet", "only");
    const first = await run();
    expect(await acme.plenum("instance", "terminate", "phoenix", "--no-wait")).toMatchObject({ code: 0 });
    expect((await acme.plenum("-o", "id", "instance", "get", "phoenix")).out).toBe(`${first}\n`);
    const second = await run();
    expect((await acme.plenum("-o", "id", "instance", "get", "phoenix")).out).toBe(`${second}\n`);
  });
});
