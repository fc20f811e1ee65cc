import { describe, expect, it } from "vitest";
import { ConfigError, configHelp, describeConfig, key, readConfig, setting } from "./config.ts";

const table = {
  databaseUrl: key({
    env: "DATABASE_URL",
    flag: "database-url",
    schema: setting.url("postgres", "postgresql").optional(),
    description: "PostgreSQL",
    secret: true,
  }),
  port: key({ env: "PLENUM_PORT", flag: "port", schema: setting.integer(1, 65_535).default(7400), description: "TCP port of the API" }),
  verbose: key({ env: "PLENUM_VERBOSE", flag: "verbose", schema: setting.flag().default(false), description: "Say more" }),
  zone: key({ env: "PLENUM_ZONE", flag: "zone", schema: setting.text(), description: "Zone id" }),
};

const faults = (read: () => unknown): string[] => {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
};

describe("configuration", () => {
  it("takes the option, else the variable, else the default, as its type", () => {
    expect(
      readConfig(table, { args: ["--port", "8000", "--zone=z1"], env: { PLENUM_PORT: "9000", PLENUM_VERBOSE: "true", PATH: "/bin" } }),
    ).toEqual({
      databaseUrl: undefined,
      port: 8000,
      verbose: true,
      zone: "z1",
    });
    expect(readConfig(table, { args: [], env: { PLENUM_PORT: "9000", PLENUM_ZONE: "z2", PLENUM_VERBOSE: "" } })).toMatchObject({
      port: 9000,
      verbose: false,
      zone: "z2",
    });
  });

  it("names every fault at once", () => {
    const read = () =>
      readConfig(table, { args: ["--prot", "1", "stray", "--port=70000"], env: { PLENUM_PROT: "1", PLENUM_VERBOSE: "maybe" } });
    const found = faults(read);
    expect(found).toContain("PLENUM_PROT is not a setting");
    expect(found).toContain("--prot is not an option");
    expect(found).toContain("stray is not an option");
    expect(found).toContain("--zone (or PLENUM_ZONE) is required");
    expect(found.find((fault) => fault.startsWith("--port"))).toContain('"70000"');
    expect(found.find((fault) => fault.startsWith("--verbose"))).toContain('"maybe"');
  });

  it("lets another service's variables be, when told of it", () => {
    const other = { rate: key({ env: "PLENUM_RATE", flag: "rate", schema: setting.integer(1, 9), description: "Rate" }) };
    const source = { args: [], env: { PLENUM_ZONE: "z", PLENUM_RATE: "5" } };
    expect(faults(() => readConfig(table, source))).toEqual(["PLENUM_RATE is not a setting"]);
    expect(faults(() => readConfig(table, { ...source, foreign: [other] }))).toEqual([]);
  });

  it("does not show a secret that is wrong", () => {
    const found = faults(() => readConfig(table, { args: ["--zone=z"], env: { DATABASE_URL: "mysql://user:hunter2@host" } }));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^--database-url/);
    expect(found[0]).not.toContain("hunter2");
  });

  it("describes itself for --help and the reference", () => {
    expect(describeConfig(table).map((row) => [row.flag, row.default])).toEqual([
      ["database-url", "none"],
      ["port", "7400"],
      ["verbose", "false"],
      ["zone", undefined],
    ]);
    expect(configHelp(table)).toContain("--zone <value>          Zone id (PLENUM_ZONE; required)");
  });
});
