import { storable } from "#lib/db/storable.ts";

/** Of a call, what the audit keeps besides who did what: where it came from, and what of the request changes what it does. */
export interface Origin {
  /** As the server saw it. Empty: not known. */
  readonly peer: string;
  /** The caller's idempotency key. Empty: none. */
  readonly requestId: string;
  /** Keys as in the proto. */
  readonly details: Readonly<Record<string, string>>;
}

const MAX_TEXT = 256;
/** What a jsonb takes: an entry that cannot be written is a refusal that nobody hears of. */
const clip = (text: string): string => storable(text, MAX_TEXT);

/** Fields of whatever request that are kept, by their names in the proto: what was forced, on which host, which fields were changed. */
const KEPT: Readonly<Record<string, string>> = { force: "force", host_id: "hostId", update_mask: "updateMask" };

function shown(value: unknown): string {
  if (value === true) return "true";
  if (typeof value === "string") return clip(value);
  if (Array.isArray(value)) return clip(value.filter((item) => typeof item === "string").join(","));
  return "";
}

/** What is kept of a request; what is absent or the default is left out. */
export function detailsOf(request: unknown): Record<string, string> {
  if (typeof request !== "object" || request === null) return {};
  const fields = request as Readonly<Record<string, unknown>>;
  const entries = Object.entries(KEPT).map(([key, field]) => [key, shown(fields[field])] as const);
  return Object.fromEntries(entries.filter(([, text]) => text !== ""));
}

export function originOf(context: { peer?: string; request?: unknown }, requestId = ""): Origin {
  return { peer: context.peer ?? "", requestId: clip(requestId), details: detailsOf(context.request) };
}

/** Of what nobody's call stands behind. */
export const NO_ORIGIN: Origin = { peer: "", requestId: "", details: {} };
