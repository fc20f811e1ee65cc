import type { Command } from "commander";

/**
 * How a field of a request is called on the command line: option or argument, without dashes and brackets. Only where the field's own name
 * with hyphens ("delete_on_terminate" → "delete-on-terminate") is none of the command's. The longest end of a path that is known counts.
 */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  account_id: ["account"],
  address_setters: ["address-setter", "add"],
  after: ["since"],
  attachers: ["attacher", "add"],
  attachment_id: ["attachment", "attached"],
  before: ["until"],
  cidr_block: ["cidr"],
  consent_id: ["consent"],
  detachers: ["detacher", "add"],
  "process.argv": ["argv"],
  "process.env": ["env"],
  "create.security_group_ids": ["group"],
  "create.subnet_id": ["subnet"],
  "first_subnet.cidr_block": ["subnet"],
  "first_subnet.zone_id": ["zone"],
  dns_servers: ["dns"],
  host_id: ["host"],
  instance_id: ["instance", "attached"],
  interface_id: ["interface", "attached"],
  interfaces: ["subnet", "interface"],
  modifiers: ["modifier", "add"],
  name: ["name", "quota"],
  network_id: ["network"],
  operation_id: ["operation"],
  owner_account: ["owner"],
  page_size: ["limit"],
  payer_account: ["payer"],
  principal_id: ["principal", "name"],
  private_address: ["address"],
  private_addresses: ["address", "addresses"],
  region_id: ["region"],
  resource_id: ["resource"],
  rules: ["rule", "rules"],
  schedulable: ["host"],
  security_group_id: ["group"],
  security_group_ids: ["group"],
  subject_id: ["subject"],
  subnet_id: ["subnet"],
  tag_key: ["tag"],
  tag_value: ["tag"],
  tags: ["tag"],
  vpc_id: ["vpc"],
  wait_timeout: ["timeout"],
  zone_id: ["zone"],
};

/** "the 2nd --group" for an item of a list that is not the first. */
const ORDINALS: Readonly<Record<string, string>> = { "1": "2nd", "2": "3rd" };

const numbered = (index: string | undefined, flag: string): string =>
  index === undefined || index === "0" ? flag : `the ${ORDINALS[index] ?? `${Number(index) + 1}th`} ${flag}`;

/** What the command line calls the word, if this command has it: "--vpc", "<vpc>". */
function spelled(command: Command, word: string): string | undefined {
  const argument = command.registeredArguments.find((one) => one.name() === word);
  if (argument !== undefined) return `<${word}>`;
  for (let one: Command | null = command; one !== null; one = one.parent) {
    const option = one.options.find(({ long }) => long === `--${word}` || long === `--no-${word}`);
    if (option?.long !== undefined && option.long !== null) return option.long;
  }
  return undefined;
}

/** A fault in a part of these is the whole's: it was typed as one word. */
const WHOLE = new Set(["rules", "attachers", "detachers", "address_setters", "modifiers"]);

/** What fills this field of the command's request: "--subnet", "<interface>", "the 2nd --group"; undefined: nothing that the user wrote. */
export function flagOf(command: Command, field: string): string | undefined {
  const all = field.split(".").map((segment) => {
    const [, name = "", index] = /^([^[]*)(?:\[(\d+)\])?/.exec(segment) ?? [];
    return { name, index };
  });
  const whole = all.findIndex(({ name }) => WHOLE.has(name));
  const segments = whole < 0 ? all : all.slice(0, whole + 1);
  for (let end = segments.length; end > 0; end -= 1) {
    for (let start = 0; start < end; start += 1) {
      const path = segments
        .slice(start, end)
        .map(({ name }) => name)
        .join(".");
      for (const word of [...(WORDS[path] ?? []), path.replaceAll("_", "-")]) {
        const found = spelled(command, word);
        if (found !== undefined) return numbered(segments[end - 1]?.index, found);
      }
    }
  }
  return undefined;
}

/** Words that look like fields ("wait_timeout", "spec.subnet_id", "rules[0].cidr"), and the fields that the answer names. */
const FIELD = /(?<![\w.-])[a-z]+(?:_[a-z]+)*(?:\[\d+\])?(?:\.[a-z]+(?:_[a-z]+)*(?:\[\d+\])?)*(?![\w-])/g;

/** A message of the server with what the user typed in the place of fields of the contract. */
export function inFlags(command: Command, message: string, fields: readonly string[]): string {
  const switched = message.replaceAll(/(?<![\w.-])([a-z_]+) = true/g, (text, field: string) => flagOf(command, field) ?? text);
  return switched.replace(FIELD, (word) => (fields.includes(word) || word.includes("_") ? (flagOf(command, word) ?? word) : word));
}
