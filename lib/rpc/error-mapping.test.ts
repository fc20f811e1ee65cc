import { ServerError, Status } from "nice-grpc-common";
import { BadRequest, ErrorInfo, RetryInfo, RichServerError } from "nice-grpc-error-details";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { mapError, MAX_STATUS_BYTES } from "./error-mapping.ts";
import { PlenumError, invalidArguments, notFound } from "./errors.ts";

function map(error: unknown, closing = false): { mapped: ServerError; logged: string } {
  let logged = "";
  const log = pino({ level: "debug" }, { write: (line: string) => void (logged += line) });
  return { mapped: mapError(error, { method: "/x/Y", closing, log }), logged };
}

describe("mapping of errors", () => {
  it.each([
    ["long texts", (index: number) => ({ field: `items[${index}]`, description: "x".repeat(5_000) }), 1],
    ["characters of three bytes", (index: number) => ({ field: `items[${index}]`, description: "€".repeat(5_000) }), 1],
    ["long names", (index: number) => ({ field: `${"x".repeat(5_000)}[${index}]`, description: "is wrong" }), 1],
    ["short ones", (index: number) => ({ field: `items[${index}]`, description: "is wrong" }), 90],
  ])("keeps a status within 4 KiB, whatever a batch has wrong: %s", (_what, violation, least) => {
    const violations = Array.from({ length: 1_000 }, (_, index) => violation(index));
    const { mapped } = map(invalidArguments(violations, "INVALID_FIELD", { a: "€".repeat(5_000), b: "y".repeat(5_000) }));
    const details = (mapped as RichServerError).extra;
    const bad = details.find((detail): detail is BadRequest => detail.$type === BadRequest.$type)!;
    const info = details.find((detail): detail is ErrorInfo => detail.$type === ErrorInfo.$type)!;
    expect(bad.fieldViolations.length).toBeGreaterThanOrEqual(least);
    expect(bad.fieldViolations[0]?.field.startsWith(violations[0]?.field.slice(0, 8) ?? "?")).toBe(true);
    expect(info).toMatchObject({ domain: "plenum", reason: "INVALID_FIELD" });
    expect(JSON.stringify([mapped.details, details])).not.toContain("\ufffd");
    // As gRPC does it: Any has a type URL, Status a code; each with tags and lengths.
    const any = (type: string, bytes: Uint8Array) => 30 + type.length + bytes.length;
    const status =
      10 +
      Buffer.byteLength(mapped.details) +
      any(BadRequest.$type, BadRequest.encode(bad).finish()) +
      any(ErrorInfo.$type, ErrorInfo.encode(info).finish());
    expect(status).toBeLessThanOrEqual(MAX_STATUS_BYTES);
  });

  it("leaves what is short as it is", () => {
    const { mapped } = map(invalidArguments([{ field: "spec.name", description: "is empty: give one" }]));
    expect(mapped.details).toBe("spec.name is empty: give one");
    expect((mapped as RichServerError).extra).toMatchObject([
      { metadata: { field: "spec.name" } },
      { fieldViolations: [{ field: "spec.name", description: "is empty: give one" }] },
    ]);
  });

  it("says when to come back in the way that clients know (B9)", () => {
    const error = new PlenumError({ code: Status.RESOURCE_EXHAUSTED, reason: "RATE_LIMITED", message: "later", retryAfterMs: 12_345 });
    const found = (map(error).mapped as RichServerError).extra.find((one): one is RetryInfo => one.$type === RetryInfo.$type);
    expect(found?.retryDelay).toMatchObject({ seconds: 12, nanos: 345_000_000 });
  });

  it("logs nothing of our own errors, and all of a bug under the id that the caller gets", () => {
    expect(map(notFound("subnet", "subnet-1")).logged).toBe("");
    const { mapped, logged } = map(new RangeError("the inside story"));
    expect(mapped.code).toBe(Status.INTERNAL);
    expect(logged).toContain("the inside story");
    const id = /error ([0-9a-f-]{36})/.exec(mapped.details)?.[1];
    expect(id).toBeDefined();
    expect(logged).toContain(id);
  });

  it.each<[string, unknown, Status]>([
    ["a lost connection", Object.assign(new Error("x"), { code: "08006" }), Status.UNAVAILABLE],
    ["a server that starts", Object.assign(new Error("x"), { code: "57P03" }), Status.UNAVAILABLE],
    ["too many connections", Object.assign(new Error("x"), { code: "53300" }), Status.UNAVAILABLE],
    ["a socket that is not there", Object.assign(new Error("x"), { code: "ENOENT", syscall: "connect" }), Status.UNAVAILABLE],
    ["a file that is not there", Object.assign(new Error("x"), { code: "ENOENT", syscall: "open" }), Status.INTERNAL],
    ["a connection that ended under a query", new Error("Connection terminated unexpectedly"), Status.UNAVAILABLE],
    ["a statement that took too long, waiting for others", Object.assign(new Error("x"), { code: "57014" }), Status.UNAVAILABLE],
    ["a transaction that did nothing for too long", Object.assign(new Error("x"), { code: "25P03" }), Status.UNAVAILABLE],
    ["a serialization failure", Object.assign(new Error("x"), { code: "40001" }), Status.ABORTED],
    ["a constraint nobody foresaw", Object.assign(new Error("x"), { code: "23505" }), Status.INTERNAL],
    ["a status of a library", new ServerError(Status.NOT_FOUND, "x"), Status.NOT_FOUND],
    ["a bug of a library", new ServerError(Status.UNKNOWN, "x"), Status.INTERNAL],
    ["something that is no error", "text", Status.INTERNAL],
  ])("calls %s by its right code", (_what, error, code) => {
    expect(map(error).mapped.code).toBe(code);
  });

  it("tells a caller's cancel from our own closing", () => {
    const abort = new DOMException("aborted", "AbortError");
    expect(map(abort).mapped.code).toBe(Status.CANCELLED);
    expect(map(abort, true).mapped.code).toBe(Status.UNAVAILABLE);
  });
});
