import { readOidcIssuers } from "#lib/auth/verifiers.ts";
import { key, readConfig, setting } from "#lib/config/config.ts";
import type { ConfigOf } from "#lib/config/config.ts";
import { DEFAULT_RATES } from "#lib/rpc/throttle.ts";
import type { ComposeOptions } from "./compose.ts";

/** Who is let in, and how often: the same for `plenum serve` and for `plenum up` (there from the environment). */
export const DOOR_CONFIG = {
  oidcFile: key({
    env: "PLENUM_OIDC_FILE",
    flag: "oidc-file",
    schema: setting.text().optional(),
    description: "JSON file that lists the OpenID Connect issuers whose tokens are accepted beside our own (docs/design/calls.md)",
  }),
  callsPerSecond: key({
    env: "PLENUM_CALLS_PER_SECOND",
    flag: "calls-per-second",
    schema: setting.integer(1, 1_000_000).default(DEFAULT_RATES.known.perSecond),
    description: "Calls a second of one principal in the long run; twice as many at once",
  }),
  accountItemsPerSecond: key({
    env: "PLENUM_ACCOUNT_ITEMS_PER_SECOND",
    flag: "account-items-per-second",
    schema: setting.integer(1, 1_000_000).default(DEFAULT_RATES.account.perSecond),
    description:
      "Items a second of all principals of one account in the long run (a call is one, a batch as many as it holds); ten times as many at once",
  }),
  accountWaitingCalls: key({
    env: "PLENUM_ACCOUNT_WAITING_CALLS",
    flag: "account-waiting-calls",
    schema: setting.integer(1, 1_000_000).default(DEFAULT_RATES.waitingCalls),
    description: "Calls of one account that wait for what they began, at the same time",
  }),
  unknownCallsPerSecond: key({
    env: "PLENUM_UNKNOWN_CALLS_PER_SECOND",
    flag: "unknown-calls-per-second",
    schema: setting.integer(1, 1_000_000).default(DEFAULT_RATES.unknown.perSecond),
    description: "Calls a second without a valid token from one address in the long run; twice as many at once",
  }),
} as const;

/** After a pause twice as many at once. */
const rateOf = (perSecond: number) => ({ perSecond, burst: 2 * perSecond });

/** The settings as the composer takes them. Throws for a file that is no list of issuers. */
export async function doorsOf(config: ConfigOf<typeof DOOR_CONFIG>): Promise<Required<Pick<ComposeOptions, "oidc" | "rates">>> {
  return {
    oidc: config.oidcFile === undefined ? [] : await readOidcIssuers(config.oidcFile),
    rates: {
      known: rateOf(config.callsPerSecond),
      unknown: rateOf(config.unknownCallsPerSecond),
      // A batch is up to 1,000 items: some come together.
      account: { perSecond: config.accountItemsPerSecond, burst: 10 * config.accountItemsPerSecond },
      waitingCalls: config.accountWaitingCalls,
    },
  };
}

/** From the environment alone. Throws ConfigError. */
export function doorsOfEnvironment(): ConfigOf<typeof DOOR_CONFIG> {
  const names = Object.values(DOOR_CONFIG).map(({ env }) => env);
  return readConfig(DOOR_CONFIG, { args: [], env: Object.fromEntries(names.map((name) => [name, process.env[name]])) });
}
