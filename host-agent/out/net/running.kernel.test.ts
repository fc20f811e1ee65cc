import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { awaitRunning } from "./running.ts";
import { TestHost } from "./testing/test-host.ts";

let host: TestHost;
beforeEach(() => {
  host = new TestHost();
});
afterEach(() => host.dispose());

test("a device whose other end is down, or that is gone, is told of and not waited for", () => {
  linux.withNetlink(host.path, (nl) => {
    linux.createVeth(nl, { name: "one", mac: "02:00:00:00:00:01", mtu: 1500, peer: { name: "two", mac: "02:00:00:00:00:02" } });
    const ends = ["one", "two"].map((name) => linux.getLink(nl, name)?.ifindex ?? 0);
    const [one = 0, two = 0] = ends;
    linux.setLink(nl, one, { up: true });
    expect(() => awaitRunning(nl, one)).toThrow("device one was set down or taken away");
    linux.setLink(nl, two, { up: true });
    for (const end of ends) awaitRunning(nl, end);
    // A guest may say that it is not to be used yet; packets pass all the same.
    execFileSync("nsenter", [`--net=${host.path}`, "ip", "link", "set", "two", "mode", "dormant"]);
    linux.setLink(nl, two, { up: false });
    linux.setLink(nl, two, { up: true });
    for (const end of ends) awaitRunning(nl, end);
    linux.deleteLink(nl, one);
    expect(() => awaitRunning(nl, one)).toThrow(`device ${one} was set down or taken away`);
  });
});
