import type { Command } from "commander";
import { ConsentServiceDefinition, ConsentState } from "#gen/plenum/consent/v1/consent.ts";
import type { Consent } from "#gen/plenum/consent/v1/consent.ts";
import { present, withSession } from "../session.ts";
import type { Session } from "../session.ts";
import { consents } from "../tables.ts";
import { parseWord } from "../values.ts";

const STATES = {
  any: ConsentState.UNSPECIFIED,
  active: ConsentState.ACTIVE,
  suspended: ConsentState.SUSPENDED,
  revoked: ConsentState.REVOKED,
};

/** consent. They are given by interfaces' access lists. */
export function addConsentCommands(program: Command): void {
  const consent = program.command("consent").description("consents: what one account allows another");
  consent
    .command("list")
    .description("list the consents that your account gave or was given")
    .option("--resource <id>", "only on this resource", "")
    .option("--state <state>", `only these: ${Object.keys(STATES).join(", ")}`, "any")
    .action(
      withSession(async (session, options: { resource: string; state: string }) => {
        const client = session.client(ConsentServiceDefinition);
        const filter = { resourceId: options.resource, state: parseWord(STATES, options.state, "state") };
        session.list(
          consents,
          await session.pages(
            (page) => client.listConsents({ ...page, ...filter }),
            (answer) => answer.consents,
          ),
        );
      }),
    );

  type Act = (session: Session, consentId: string) => Promise<{ consent?: Consent | undefined }>;
  const act = (name: string, description: string, call: Act): void => {
    consent
      .command(`${name} <consent>`)
      .description(description)
      .action(
        withSession(async (session, consentId: string, _options: object) => {
          session.one(consents, present((await call(session, consentId)).consent, "consent"));
        }),
      );
  };
  const client = (session: Session) => session.client(ConsentServiceDefinition);
  act("get", "show one consent", (session, consentId) => client(session).getConsent({ consentId }));
  act("suspend", "let it allow nothing until it is resumed", (session, consentId) =>
    client(session).suspendConsent({ requestId: session.requestId, consentId }),
  );
  act("resume", "let it allow again", (session, consentId) => client(session).resumeConsent({ requestId: session.requestId, consentId }));
  act("revoke", "take it back, for good", (session, consentId) =>
    client(session).revokeConsent({ requestId: session.requestId, consentId }),
  );
}
