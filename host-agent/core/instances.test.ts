import { beforeEach, expect, test } from "vitest";
import { FakeInstanceDriver } from "../testing/fake-instance-driver.ts";
import { Attempts } from "./attempts.ts";
import { Instances } from "./instances.ts";

/** A driver that takes its time to remove, as the real one does. */
class SlowDriver extends FakeInstanceDriver {
  end: (error?: unknown) => void = () => undefined;

  override remove(instanceId: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.end = (error) => {
        if (error !== undefined) return reject(error as Error);
        this.kernel.instances.delete(instanceId);
        resolve();
      };
    });
  }
}

let driver: SlowDriver;
let attempts: Attempts;
let instances: Instances;
beforeEach(() => {
  driver = new SlowDriver();
  attempts = new Attempts({ backoff: { firstMs: 1, maxMs: 1 }, clock: () => 0, budgetMs: 100, onFailure: () => undefined });
  instances = new Instances(driver, attempts, () => undefined);
  attempts.begin();
});

function created(argv: string[]): void {
  instances.tracker.want("i-1", { instanceId: "i-1", argv, env: {}, dnsServers: [], identity: "" });
  instances.create();
  instances.tellDnsServers();
  instances.tellIdentity();
  instances.start(() => true);
  expect(instances.tracker.settled("i-1")).toBe(true);
}

test("one that is being removed is nobody's news, whatever becomes of it meanwhile", async () => {
  created(["/bin/true"]);
  instances.tracker.unwant("i-1");
  instances.remove(() => true);
  driver.exitProcess("i-1", "signal SIGTERM");
  expect(instances.observe()).toEqual([]); // still listed
  driver.kernel.instances.delete("i-1");
  expect(instances.observe()).toEqual([]); // no more
  driver.end();
  await Promise.resolve();
  expect(instances.tracker.possible("i-1")).toBeUndefined();
});

test("a removal that fails is told with its reason, and tried again", async () => {
  created([]);
  instances.tracker.unwant("i-1");
  instances.remove(() => true);
  driver.end("busy"); // not even an Error
  await Promise.resolve();
  expect(instances.failure("i-1")).toBe("busy");
  expect(instances.tracker.pendingDeletes()).toHaveLength(1);
});

test("one that is wanted again after a removal that failed is told all anew, under the same generation, too", async () => {
  const wanted = { instanceId: "i-1", argv: [], env: {}, dnsServers: ["10.0.0.2"], identity: "robot since 1" };
  const bring = (): void => {
    instances.tracker.want("i-1", wanted);
    instances.create();
    instances.tellDnsServers();
    instances.tellIdentity();
  };
  bring();
  instances.tracker.unwant("i-1");
  instances.remove(() => true);
  Object.assign(driver.kernel.instances.get("i-1")!, { identity: undefined, dnsServers: undefined }); // as far as it came
  driver.end(new Error("processes do not end"));
  await Promise.resolve();
  bring();
  expect(driver.kernel.instances.get("i-1")).toMatchObject({ identity: "robot since 1", dnsServers: ["10.0.0.2"] });
  expect(instances.tracker.settled("i-1")).toBe(true);
});

test("one without a process is made again when its namespace is taken away, or it is not there at all", () => {
  created([]);
  driver.kernel.instances.set("i-1", { process: { state: "none" }, deleted: true });
  expect(instances.observe()).toEqual(["i-1"]);
  instances.create();
  instances.tellDnsServers();
  instances.tellIdentity();
  expect(instances.tracker.settled("i-1")).toBe(true);
  driver.kernel.instances.delete("i-1");
  expect(instances.observe()).toEqual(["i-1"]);
  instances.create();
  expect(driver.list()).toMatchObject([{ instanceId: "i-1", netnsPath: "/run/netns/fake-i-1" }]);
});
