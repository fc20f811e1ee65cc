import { resourceExhausted } from "#lib/rpc/errors.ts";
import type { PlenumError } from "#lib/rpc/errors.ts";

/** What an account may have, each with what the installation allows where no configuration says otherwise, and what is said of it. */
export const QUOTAS = {
  "group-sets-per-vpc": {
    maximum: 1_000,
    what: "different combinations of security groups in one VPC",
    remedy: "give interfaces a combination that others have (one that none has is forgotten within three hours)",
  },
  interfaces: { maximum: 100_000, what: "interface records", remedy: "delete some" },
  "security-groups-per-vpc": { maximum: 500, what: "security groups in one VPC", remedy: "delete some" },
  "subnets-per-vpc": { maximum: 200, what: "subnets in one VPC", remedy: "delete some" },
  vpcs: { maximum: 100, what: "VPCs", remedy: "delete some" },
  "vpcs-per-day": { maximum: 1_000, what: "VPCs made in one day", remedy: "wait for midnight UTC" },
} as const;

export type QuotaName = keyof typeof QUOTAS;
export const QUOTA_NAMES = Object.keys(QUOTAS) as QuotaName[];

/** One that is counted anew each day (UTC). */
export const isDaily = (quota: QuotaName): boolean => quota.endsWith("-per-day");

/** What an account is told who wants more than it may have. RESOURCE_EXHAUSTED (LIMIT_EXCEEDED). `count`: what it has already. */
export function overQuota(accountId: string, quota: QuotaName, maximum: bigint, count: bigint): PlenumError {
  const { what, remedy } = QUOTAS[quota];
  return resourceExhausted(
    "LIMIT_EXCEEDED",
    `${accountId} may have ${maximum} ${what} and has ${count}: ${remedy}, or ask an operator for a higher quota ${quota}`,
    { quota, limit: String(maximum), count: String(count), account_id: accountId },
  );
}
