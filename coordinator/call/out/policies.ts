import { readFileSync } from "node:fs";
import { policySetTextToParts, policyToJson, preparsePolicySet, statefulIsAuthorized, validate } from "@cedar-policy/cedar-wasm/nodejs";
import type { AuthorizationAnswer, DetailedError, EntityJson, EntityUidJson } from "@cedar-policy/cedar-wasm/nodejs";
import { isRead, SEE } from "../core/decide.ts";
import type { DecisionClass, Judge } from "../core/decide.ts";

/** Name under which Cedar keeps the parsed policies of this process. */
const POLICY_SET = "plenum";

const read = (name: string): string => readFileSync(new URL(`../policy/${name}`, import.meta.url), "utf8");
const messages = (errors: readonly DetailedError[]): string => errors.map((error) => error.message).join("; ");

/** The policies by their `@id`. A policy without one, or two of one, is an error: the audit could not name it. */
function policiesById(text: string): Map<string, string> {
  const parts = policySetTextToParts(text);
  if (parts.type === "failure") throw new Error(`the policies do not parse: ${messages(parts.errors)}`);
  const byId = new Map<string, string>();
  for (const policy of parts.policies) {
    const parsed = policyToJson(policy);
    if (parsed.type === "failure") throw new Error(`a policy does not parse: ${messages(parsed.errors)}`);
    const id = parsed.json.annotations?.["id"];
    if (id === undefined || byId.has(id))
      throw new Error(`a policy has ${id === undefined ? "no @id" : `the @id ${id} of another`}: ${policy}`);
    byId.set(id, policy);
  }
  return byId;
}

/** Parse and check the policies against the schema, once a process. Answers the ids in the order of the file. Throws when anything is wrong. */
function loadPolicies(): readonly string[] {
  const text = read("policies.cedar");
  const policies = policiesById(text);
  const staticPolicies = Object.fromEntries(policies);
  const checked = validate({ schema: read("schema.cedarschema"), policies: { staticPolicies } });
  if (checked.type === "failure") throw new Error(`the schema does not parse: ${messages(checked.errors)}`);
  const faults = [...checked.validationErrors, ...checked.validationWarnings];
  if (faults.length > 0)
    throw new Error(`policies are wrong: ${faults.map((fault) => `${fault.policyId}: ${fault.error.message}`).join("; ")}`);
  const parsed = preparsePolicySet(POLICY_SET, { staticPolicies });
  if (parsed.type === "failure") throw new Error(`the policies do not load: ${messages(parsed.errors)}`);
  return [...policies.keys()].sort((a, b) => text.indexOf(`@id("${a}")`) - text.indexOf(`@id("${b}")`));
}

const IDS = loadPolicies();

const uid = (type: string, id: string): { type: string; id: string } => ({ type: `Plenum::${type}`, id });
const SUBJECTS = { operator: uid("Operator", "any"), user: uid("User", "any"), host: uid("Host", "any"), nobody: uid("Nobody", "any") };
const RESOURCES = { installation: uid("Installation", "any"), resource: uid("Resource", "any") };
const GROUPS = { Read: uid("Action", "Read"), Write: uid("Action", "Write") };

function entity(self: EntityUidJson, attrs: EntityJson["attrs"] = {}, more: Partial<EntityJson> = {}): EntityJson {
  return { uid: self, attrs, parents: [], ...more };
}

/** The tag of what the user's principal is named for; no account has such an id. */
const NAMED = "named";

/** What Cedar is given: the class, and nothing of the item that stands for it. */
function entitiesOf(of: DecisionClass, action: EntityUidJson): EntityJson[] {
  const subject: EntityJson["attrs"] = of.subject === "user" ? { account: of.account, role: of.role } : {};
  const attrs: EntityJson["attrs"] = of.resource === "resource" ? { owner: of.owner } : {};
  const tags = of.granted.length > 0 ? { tags: { [of.account]: [...of.granted], [NAMED]: [...of.named] } } : {};
  const actions = of.action === SEE ? [] : [entity(action, {}, { parents: [GROUPS[isRead(of.action) ? "Read" : "Write"]] })];
  return [entity(SUBJECTS[of.subject], subject), entity(RESOURCES[of.resource], attrs, tags), ...actions];
}

function responseOf(answer: AuthorizationAnswer) {
  if (answer.type === "failure") throw new Error(`a decision could not be made: ${messages(answer.errors)}`);
  const { diagnostics } = answer.response;
  // A policy that fails counts as one that did not speak: a forbid among them would open what it was to close.
  const [error] = diagnostics.errors;
  if (error !== undefined) throw new Error(`policy ${error.policyId} failed: ${error.error.message}`);
  return answer.response;
}

/** Cedar over `coordinator/call/policy` (C15). About 0.3 ms an evaluation: ask once a class. Throws on a broken policy. */
export const judgeByPolicies: Judge = (of) => {
  const action = uid("Action", of.action === SEE ? "View" : of.action);
  const { decision, diagnostics } = responseOf(
    statefulIsAuthorized({
      principal: SUBJECTS[of.subject],
      action,
      resource: RESOURCES[of.resource],
      context: { action: of.action, self: of.self, delegated: of.delegated, carried: of.carried },
      preparsedPolicySetId: POLICY_SET,
      entities: entitiesOf(of, action),
    }),
  );
  const spoke = new Set(diagnostics.reason);
  return { allowed: decision === "allow", policy: IDS.find((id) => spoke.has(id)) };
};
