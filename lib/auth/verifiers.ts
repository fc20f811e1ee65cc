import { readFile } from "node:fs/promises";
import { decodeJwt } from "jose";
import { z } from "zod";
import type { TokenVerifier } from "../rpc/caller.ts";
import { createOidcVerifier, oidcIssuer } from "./oidc.ts";
import type { OidcIssuer } from "./oidc.ts";

const issuers = z
  .array(oidcIssuer)
  .refine((list) => new Set(list.map((one) => one.issuer)).size === list.length, "names an issuer twice")
  .refine((list) => new Set(list.map((one) => one.name)).size === list.length, "names two issuers alike");

/** The issuers in a JSON file: a list of objects as {@link oidcIssuer} describes. Throws an error that names the file and the fault. */
export async function readOidcIssuers(file: string): Promise<OidcIssuer[]> {
  try {
    return issuers.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    throw new Error(`${file} is no list of issuers: ${error instanceof z.ZodError ? z.prettifyError(error) : String(error)}`, {
      cause: error,
    });
  }
}

/**
 * Takes tokens of the built-in issuer and of the configured ones. The token's own word on who issued it chooses who checks it, and
 * nothing else: whoever that is checks the issuer again, under the signature.
 */
export function anyIssuer(builtIn: TokenVerifier, configured: readonly OidcIssuer[]): TokenVerifier {
  const byIssuer = new Map(configured.map((one) => [one.issuer, createOidcVerifier(one)]));
  if (byIssuer.size === 0) return builtIn;
  return {
    verify: async (token) => (byIssuer.get(decodeJwt(token).iss ?? "") ?? builtIn).verify(token),
  };
}
