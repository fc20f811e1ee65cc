import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTerminal } from "./support/terminal.ts";
import type { Outcome, Plenum, Terminal } from "./support/terminal.ts";

// Every option that fills a field of a record, against a real server: what was asked is there afterwards, and what is wrong is called by its
// option. One table of each kind is looked at as people see it.

let at: Terminal;
let acme: Awaited<ReturnType<Terminal["customer"]>>;
let other: Awaited<ReturnType<Terminal["customer"]>>;
let plenum: Plenum;

/** What is printed, as words separated by one space. */
const words = (text: string): string[] =>
  text
    .trim()
    .split("\n")
    .map((line) => line.trim().replace(/\s+/g, " "));

async function good(...line: string[]): Promise<string> {
  const { code, out, err } = await plenum(...line);
  if (code !== 0) throw new Error(`${line.join(" ")}: ${err}`);
  return out;
}
const id = async (...line: string[]): Promise<string> => (await good("-o", "id", ...line)).trim();
const json = async (...line: string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await good("-o", "json", ...line)) as Record<string, unknown>;
const refused = (code: number, ...said: string[]) => ({
  code,
  err: expect.stringMatching(new RegExp(said.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[^]*"))) as string,
});

beforeAll(async () => {
  at = await openTerminal();
  [acme, other] = [await at.customer("acme"), await at.customer("other")];
  ({ plenum } = acme);
  await at.host("h1", "zone-a");
  await good("vpc", "create", "--name", "shop", "--cidr", "10.0.0.0/16", "--subnet", "10.0.0.0/24", "--zone", "zone-a", "--tag", "a=b");
  await good("subnet", "create", "--vpc", "shop", "--cidr", "10.0.1.0/24", "--name", "front");
  await good("sg", "create", "web", "--vpc", "shop", "--description", "http", "--rule", "ingress:tcp:80:0.0.0.0/0");
}, 60_000);
afterAll(async () => await at?.stop());

describe("vpc and subnet", () => {
  it("are made, listed and changed by name", async () => {
    expect(words(await good("vpc", "list"))).toEqual([
      "VPC NAME CIDR NETWORK OWNER",
      expect.stringMatching(/^vpc-\w+ shop 10\.0\.0\.0\/16 \d+ acct-\w+$/) as string,
    ]);
    expect(await json("vpc", "get", "shop")).toMatchObject({ tags: { a: "b" } });
    expect(await json("vpc", "update", "shop", "--name", "store", "--tag", "c=d", "--etag", "1")).toMatchObject({
      name: "store",
      tags: { c: "d" },
    });
    expect(await plenum("vpc", "update", "store", "--name", "shop", "--etag", "1")).toMatchObject({ code: 6 });
    expect(await json("vpc", "update", "store", "--name", "shop")).toMatchObject({ name: "shop", tags: { c: "d" } });
    await good("subnet", "create", "--vpc", "shop", "--cidr", "10.0.9.0/24", "--name", "back", "--zone", "zone-a");
    expect(words(await good("subnet", "list", "--vpc", "shop"))).toEqual([
      "SUBNET NAME CIDR ZONE FREE VPC",
      expect.stringMatching(/^subnet-\w+ - 10\.0\.0\.0\/24 zone-a \d+ vpc-\w+$/) as string,
      expect.stringMatching(/^subnet-\w+ front 10\.0\.1\.0\/24 - \d+ vpc-\w+$/) as string,
      expect.stringMatching(/^subnet-\w+ back 10\.0\.9\.0\/24 zone-a 252 vpc-\w+$/) as string,
    ]);
    // One without a name is known by its block.
    expect(await json("subnet", "update", "10.0.0.0/24", "--name", "first")).toMatchObject({ name: "first", cidrBlock: "10.0.0.0/24" });
    expect(await good("subnet", "delete", "shop/back")).toMatch(/^subnet-\w+ deleted\n$/);
    expect(await plenum("vpc", "delete", "shop")).toMatchObject(refused(6, "still needed by", "HAS_DEPENDANTS"));
  });

  it("say which option is wrong", async () => {
    const create = (...more: string[]) => plenum("vpc", "create", ...more);
    expect(await create("--cidr", "10.0.0.1/16", "--subnet", "10.0.0.0/24")).toMatchObject(refused(2, "--cidr", "10.0.0.0/16"));
    expect(await create("--cidr", "10.0.0.0/16", "--subnet", "10.1.0.0/24")).toMatchObject(refused(2, "--subnet", "not inside"));
    expect(await create("--cidr", "10.0.0.0/16", "--subnet", "10.0.0.0/24", "--zone", "nowhere")).toMatchObject(refused(5, "nowhere"));
    expect(await create("--cidr", "10.0.0.0/16", "--subnet", "10.0.0.0/24", "--tag", "a")).toMatchObject(
      refused(2, "is not a pair", "key=value"),
    );
    expect(await plenum("vpc", "update", "shop")).toMatchObject(refused(2, "nothing says what to change", "--name, --tag"));
    expect(await create("--cidr", "10.0.0.0/16")).toMatchObject(refused(2, "--subnet", "--help"));
  });
});

describe("sg", () => {
  it("is changed and listed", async () => {
    const group = await id("sg", "create", "db", "--vpc", "shop");
    expect(await json("sg", "update", group, "--name", "database", "--description", "rows")).toMatchObject({
      name: "database",
      description: "rows",
    });
    await good("sg", "rules", "database", "ingress:tcp:5432:web", "ingress:udp:1000-2000:10.0.0.0/8", "--wait", "committed");
    expect(words(await good("sg", "list", "--vpc", "shop")).join("|")).toMatch(
      /GROUP NAME RULES VPC WHY\|.*\|sg-\w+ database ingress:tcp:5432:sg-\w+ vpc-\w+ -\|ingress:udp:1000-2000:10\.0\.0\.0\/8/,
    );
    expect(await plenum("sg", "rules", "database", "ingress:tcp:1:10.0.0.0/8", "ingress:tcp:9-5:10.0.0.0/8")).toMatchObject(
      refused(2, "the 2nd <rules>", "INVALID"),
    );
    expect(await plenum("sg", "rules", "database", "in:tcp:1")).toMatchObject(refused(2, "is not a rule", "ingress:tcp:80"));
    expect(await plenum("sg", "rules", "database", "--etag", "1")).toMatchObject({ code: 6 });
    expect(await good("sg", "delete", "database")).toBe(`${group} deleted\n`);
  });
});

describe("eni", () => {
  it("keeps what each option says", async () => {
    const eni = await id(
      ...[
        "eni",
        "create",
        "--subnet",
        "front",
        "--name",
        "main",
        "--description",
        "first",
        "--address",
        "10.0.1.10",
        "--address",
        "10.0.1.11",
      ],
      ...["--group", "web", "--tag", "k=v", "--dns", "10.0.1.53", "--dns", "10.0.1.54", "--no-source-dest-check"],
    );
    expect(await json("eni", "get", "main")).toMatchObject({
      ...{ interfaceId: eni, name: "main", description: "first", privateAddresses: ["10.0.1.10", "10.0.1.11"], tags: { k: "v" } },
      ...{ dnsServers: ["10.0.1.53", "10.0.1.54"], payerAccount: acme.accountId },
    });
    expect((await json("eni", "get", "main"))["sourceDestCheck"]).toBeUndefined();
    const changed = await json(
      ...["eni", "update", "main", "--name", "first", "--description", "", "--tag", "x=y", "--dns", "", "--source-dest-check", "on"],
      ...["--group", "default", "--disabled", "--wait", "committed"],
    );
    expect(changed).toMatchObject({
      name: "first",
      tags: { x: "y" },
      sourceDestCheck: true,
      disabled: true,
      state: "INTERFACE_STATE_DISABLED",
    });
    expect(changed["dnsServers"]).toBeUndefined();
    expect(changed["description"]).toBeUndefined();
    expect(words(await good("eni", "list", "--state", "disabled"))).toEqual([
      "INTERFACE NAME STATE ADDRESSES INSTANCE SUBNET DESCRIPTION",
      expect.stringMatching(/^eni-\w+ first DISABLED 10\.0\.1\.10 - subnet-\w+ -$/) as string,
      "10.0.1.11",
    ]);
    expect(await json("eni", "update", "first", "--enabled", "--wait", "committed")).toMatchObject({ state: "INTERFACE_STATE_AVAILABLE" });
    expect(await json("eni", "addresses", "first", "10.0.1.20", "--wait", "committed")).toMatchObject({ privateAddresses: ["10.0.1.20"] });
    expect(await plenum("eni", "update", "first", "--disabled", "--enabled")).toMatchObject(refused(2, "cannot be used with"));
  });

  it("is found by each filter", async () => {
    const found = await id("eni", "create", "--subnet", "front", "--address", "10.0.1.77", "--group", "web", "--tag", "role=db");
    const list = (...filter: string[]) => id("eni", "list", ...filter);
    for (const filter of [
      ["--address", "10.0.1.77"],
      ["--tag", "role=db"],
      ["--tag", "role"],
      ["--group", "web", "--vpc", "shop", "--subnet", "front", "--owner", "acme", "--state", "available"],
    ])
      expect(await list(...filter)).toBe(found);
    expect(await list("--tag", "role=web")).toBe("");
    const instance = await id("instance", "run", "--stopped", "--no-wait", "--name", "filtered", "--interface", found);
    expect(await list("--instance", "filtered")).toBe(found);
    expect(await list("--state", "in-use")).toContain(found);
    expect(await list("--state", "in-repair")).toBe("");
    expect(await plenum("eni", "list", "--state", "broken")).toMatchObject(refused(2, "is not a state", "in-repair"));
    expect(await plenum("eni", "list", "--address", "10.0.0")).toMatchObject(refused(2, "--address"));
    await good("eni", "detach", "--instance", instance, "--wait", "committed");
    const attachment = await id("eni", "attach", found, "filtered", "--device-index", "2", "--delete-on-terminate", "--wait", "committed");
    expect(await json("attachment", "get", attachment)).toMatchObject({ deleteOnTerminate: true, deviceIndex: 2 });
    expect((await json("attachment", "update", attachment, "--delete-on-terminate", "off"))["deleteOnTerminate"]).toBeUndefined();
    expect(await plenum("attachment", "update", attachment, "--delete-on-terminate", "yes")).toMatchObject(refused(2, "on, off"));
    expect(await id("attachment", "list", "--interface", found)).toBe(attachment);
    expect(await plenum("eni", "attach", found, "filtered", "--device-index", "15")).toMatchObject(refused(2, "0 to 14"));
  });

  it("says which option is wrong", async () => {
    const create = (...more: string[]) => plenum("eni", "create", "--subnet", "front", ...more);
    expect(await create("--address", "10.0.1.30", "--address", "10.9.0.1")).toMatchObject(refused(2, "the 2nd --address"));
    expect(await create("--dns", "nowhere")).toMatchObject(refused(2, "--dns"));
    expect(await create("--payer", other.accountId)).toMatchObject(refused(5, "RESOURCE_NOT_FOUND"));
    expect(await create("--attacher", "acct-1/x")).toMatchObject(refused(5, "no account named"));
    expect(await plenum("eni", "detach")).toMatchObject(refused(2, "--instance"));
    expect(await plenum("eni", "access", "10.0.1.20", "--add", "attacher")).toMatchObject({ code: 5 });
  });

  it("lends itself to another account, or to one principal of it, by lists", async () => {
    const bob = await other.as("owner", "bob");
    const eni = await id("eni", "create", "--subnet", "front", "--attacher", `${other.accountId}/bob`, "--detacher", other.accountId);
    expect(await other.plenum("consent", "list", "--resource", eni, "--state", "active")).toMatchObject({ code: 0 });
    expect(await bob("instance", "run", "--stopped", "--no-wait", "--name", "theirs")).toMatchObject({ code: 0 });
    expect(await other.plenum("eni", "attach", eni, "theirs", "--wait", "committed")).toMatchObject({ code: 4 });
    expect(await bob("eni", "attach", eni, "theirs", "--device-index", "3", "--wait", "committed")).toMatchObject({
      code: 0,
    });
    const [head, row] = words((await bob("attachment", "list", "--instance", "theirs")).out);
    expect(head).toBe("ATTACHMENT STATE INTERFACE INSTANCE DEVICE HOST WHY");
    expect(row).toMatch(/^eni-attach-\w+ ATTACHING eni-\w+ i-\w+ eth3 - /);
    const attachment = row!.split(" ")[0]!;
    expect(await other.plenum("eni", "detach", attachment, "--wait", "committed")).toMatchObject({ code: 0 });
    const consents = words(await good("consent", "list", "--resource", eni));
    expect(consents[0]).toBe("CONSENT STATE GRANTOR GRANTEE ACTIONS RESOURCE UNTIL");
    expect(consents.join("\n")).toMatch(new RegExp(`ACTIVE acct-\\w+ ${other.accountId}/bob nivc:AttachInterface`));
    const consent = consents.find((line) => line.includes("/bob"))!.split(" ")[0]!;
    expect(await json("consent", "suspend", consent)).toMatchObject({ state: "CONSENT_STATE_SUSPENDED" });
    expect((await bob("eni", "attach", eni, "theirs", "--wait", "committed")).code).not.toBe(0);
    expect(await json("consent", "resume", consent)).toMatchObject({ state: "CONSENT_STATE_ACTIVE" });
    expect(await id("consent", "list", "--state", "suspended")).toBe("");
    expect(await json("consent", "revoke", consent)).toMatchObject({ state: "CONSENT_STATE_REVOKED" });
    expect(await json("consent", "get", consent)).toMatchObject({ state: "CONSENT_STATE_REVOKED" });
  });
});

describe("instance", () => {
  it("is run, listed and changed", async () => {
    const run = ["instance", "run", "--stopped", "--no-wait", "--name", "one", "--subnet", "front", "--group", "web", "--zone", "zone-a"];
    const one = await id(...run, "--env", "A=b", "--tag", "k=v", "--owner", "acme", "--", "sleep", "60");
    expect(await json("instance", "get", "one")).toMatchObject({
      process: { argv: ["sleep", "60"], env: { A: "b" } },
      tags: { k: "v" },
      zoneId: "zone-a",
    });
    expect(words(await good("instance", "list", "--state", "stopped", "--zone", "zone-a", "--name", "one", "--owner", "acme"))).toEqual([
      "INSTANCE NAME STATE ZONE HOST PROCESS WHY",
      expect.stringMatching(/^i-\w+ one STOPPED zone-a - sleep 60 /) as string,
    ]);
    expect(await json("instance", "update", "one", "--name", "uno", "--tag", "x=y")).toMatchObject({ name: "uno", tags: { x: "y" } });
    expect(await plenum("instance", "run", "--group", "web")).toMatchObject(refused(2, "--group", "--subnet"));
    expect(await plenum("instance", "run", "--subnet", "front", "--env", "A=b")).toMatchObject(refused(2, "--env is for"));
    expect(await plenum("instance", "run", "--env", "=x", "--", "sleep", "1")).toMatchObject(refused(2, "is not a pair"));
    expect(await plenum("instance", "start", "uno")).toMatchObject(refused(6, "NO_HOST"));
    expect(await plenum("instance", "list", "--host", "h1")).toMatchObject(refused(5, "no host named"));
    const operations = words(await good("operation", "list", "--subject", one));
    expect(operations[0]).toBe("OPERATION KIND STATE SUBJECT STARTED WHY");
    const operation = operations[1]!.split(" ")[0]!;
    expect(await json("operation", "get", operation)).toMatchObject({ subjectId: one });
    expect(await json("operation", "wait", operation, "--timeout", "1s")).toMatchObject({ state: "OPERATION_STATE_SUCCEEDED" });
    await good("instance", "terminate", "uno", "--no-wait", "--force");
    expect(await id("instance", "list", "--state", "terminated")).toContain(one);
  });
});

describe("principal and token", () => {
  it("are one's own account's unless another is named", async () => {
    expect(await json("principal", "create", "robot", "--role", "viewer", "--description", "reads")).toMatchObject({
      accountId: acme.accountId,
    });
    expect(await json("principal", "update", "robot", "--role", "member", "--description", "acts")).toMatchObject({
      role: "ROLE_MEMBER",
      description: "acts",
    });
    expect(words(await good("principal", "list")).join("|")).toMatch(
      /^PRINCIPAL ACCOUNT ROLE STATE DESCRIPTION CREATED\|.*robot acct-\w+ MEMBER ACTIVE acts /,
    );
    const file = at.path("robot.token");
    expect(await good("token", "issue", "--principal", "robot", "--role", "viewer", "--ttl", "5m", "--out", file)).toContain("valid until");
    const robot: Plenum = (...line) => plenum(...line, "--token-file", file);
    expect((await robot("whoami")).out).toMatch(/principal_id +robot\nrole +ROLE_VIEWER/);
    expect(await robot("vpc", "update", "shop", "--name", "x")).toMatchObject({ code: 4 });
    for (const [verb, state] of [
      ["disable", "DISABLED"],
      ["enable", "ACTIVE"],
      ["revoke-tokens", "ACTIVE"],
    ] as const) {
      expect(await json("principal", verb, "robot")).toMatchObject({ state: `PRINCIPAL_STATE_${state}` });
      expect(await robot("whoami")).toMatchObject({ code: 4 });
    }
    expect((await at.operator("-o", "json", "principal", "get", "robot", "--account", "acme")).out).toContain(acme.accountId);
    expect(await plenum("token", "issue", "--principal", "robot", "--ttl", "1y")).toMatchObject(refused(2, "length of time"));
    expect(await plenum("token", "issue", "--principal", "robot", "--role", "king")).toMatchObject(
      refused(2, "owner, member, viewer, operator"),
    );
    expect(await plenum("token", "issue", "--principal", "robot", "--ttl", "100d")).toMatchObject(refused(2, "--ttl"));
  });
});

describe("quota", () => {
  it("is looked at by its account, and set by an operator", async () => {
    const set = (maximum: string, by: Plenum = at.operator): Promise<Outcome> => by("account", "quota", "set", "acme", "vpcs", maximum);
    expect(await set("1")).toMatchObject({ code: 0 });
    expect(words(await good("account", "quota", "list", "acme"))).toEqual(
      expect.arrayContaining(["QUOTA MAXIMUM USED OWN", "vpcs 1 1 true"]),
    );
    expect(await plenum("vpc", "create", "--cidr", "10.0.0.0/16", "--subnet", "10.0.0.0/24")).toMatchObject(
      refused(6, "vpcs", "LIMIT_EXCEEDED"),
    );
    expect(await set("default")).toMatchObject({ code: 0 });
    expect(await good("account", "quota", "list", "acme")).toMatch(/vpcs +100 +1 +false/);
    expect(await set("many")).toMatchObject(refused(2, "is not a limit", "default"));
    expect(await set("5", plenum)).toMatchObject(refused(4, "is for operators of the installation, and you are alice"));
    expect(await at.operator("account", "quota", "set", "acme", "goats", "1")).toMatchObject(refused(2, "<quota>"));
  });
});

describe("an operator's command", () => {
  it("says to a customer whose it is", async () => {
    for (const line of [
      "host list",
      "host get h1",
      "host cordon h1",
      "mapping lookup 1 10.0.0.1",
      "zone create z --region r",
      "account create x",
    ])
      expect(await plenum(...line.split(" ")), line).toMatchObject(
        refused(4, "is for operators of the installation, and you are alice of acct-"),
      );
  });

  it("does what it says", async () => {
    const { operator } = at;
    expect(words((await operator("host", "list", "--zone", "zone-a")).out)).toEqual([
      "HOST NAME STATE ZONE ADDRESS SUBSTRATE INSTANCES APPLIED/WANTED SEEN",
      expect.stringMatching(/^host-\w+ h1 \w+ zone-a 198\.18\.0\.11 /) as string,
    ]);
    await operator("host", "cordon", "h1");
    expect((await operator("host", "list")).out).toContain(",CORDONED");
    await operator("host", "uncordon", "h1");
    expect((await operator("host", "list")).out).not.toContain(",CORDONED");
    expect((await operator("host", "list", "--zone", "zone-z")).out).not.toContain("h1");
    const file = at.path("join.token");
    expect((await operator("host", "token", "--zone", "zone-a", "--ttl", "2m", "--out", file)).out).toContain("join token written");
    expect(words((await operator("zone", "create", "zone-c", "--region", "region-1")).out)).toEqual([
      "zone_id zone-c",
      "region_id region-1",
    ]);
    expect((await operator("-o", "id", "zone", "list", "--region", "region-1")).out).toBe("zone-a\nzone-c\n");
    expect((await operator("-o", "id", "region", "list")).out).toBe("region-1\n");
    for (const verb of ["suspend", "resume"]) expect(await operator("account", verb, "other")).toMatchObject({ code: 0 });
    expect(words((await operator("account", "list")).out)[0]).toBe("ACCOUNT NAME STATE DESCRIPTION CREATED");
    expect(await operator("mapping", "lookup", "shop", "10.0.0.1")).toMatchObject(refused(2, "number of a network"));
  });
});

describe("audit and drops", () => {
  it("show what each option says", async () => {
    expect(words(await good("audit", "list", "--limit", "1"))[0]).toBe(
      "TIME DECISION ACTION PRINCIPAL FOR ACCOUNT BY VIA RESOURCE POLICY COUNT FROM",
    );
    const entries = async (...filter: string[]) => (await json("audit", "list", ...filter))["entries"] as Record<string, string>[];
    const made = await entries(
      "--action",
      "network:CreateVpc",
      "--decision",
      "allowed",
      "--principal",
      "alice",
      "--account",
      "acme",
      "--since",
      "1h",
    );
    expect(made.map(({ action }) => action)).toEqual(["network:CreateVpc"]);
    expect((await entries("--resource", made[0]!["resourceId"]!)).length).toBeGreaterThan(1);
    expect((await entries("--decision", "refused")).every(({ decision }) => decision === "AUDIT_DECISION_REFUSED")).toBe(true);
    expect(await entries("--until", "1h")).toEqual([]);
    expect(await plenum("audit", "list", "--since", "tomorrow")).toMatchObject(refused(2, "is not a time"));
    expect(words(await good("drops"))).toEqual(["WHERE REASON PACKETS"]);
    const eni = await id("eni", "create", "--subnet", "front");
    expect(words(await good("drops", eni))).toEqual(["WHERE REASON PACKETS"]);
    expect(await plenum("drops", "nothing")).toMatchObject(refused(5, "no interface named"));
  });
});

describe("a list", () => {
  it("is all that there is, whatever the pages, or its first few; and says when it is cut", async () => {
    const all = (await id("audit", "list", "--limit", "1000")).split("\n").length;
    expect(all).toBeGreaterThan(30);
    const cut = await plenum("-o", "json", "audit", "list", "--limit", "7");
    expect((JSON.parse(cut.out) as { entries: unknown[] }).entries).toHaveLength(7);
    expect(cut.err).toBe("plenum: the first 7 only; --limit 70 shows more\n");
    expect(await plenum("-o", "id", "eni", "list", "--limit", "1000000")).toMatchObject({ code: 0, err: "" });
    const some = (await id("eni", "list")).split("\n");
    expect((await id("eni", "list")).split("\n")).toEqual(some);
    expect((await id("eni", "list", "--limit", "2")).split("\n")).toEqual(some.slice(0, 2));
    expect(await plenum("eni", "list", "--limit", "0")).toMatchObject(refused(2, "limit"));
    expect(await plenum("-o", "yaml", "eni", "list")).toMatchObject(refused(2, "output format", "-o id"));
  });
});
