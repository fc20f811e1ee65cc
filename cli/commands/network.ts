import type { Command } from "commander";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import { CreateVpcResponse, VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { present, withSession } from "../session.ts";
import { subnets, vpcs } from "../tables.ts";
import { collect, parsePairs } from "../values.ts";

interface CreateVpcOptions {
  owner: string;
  name: string;
  cidr: string;
  subnet: string;
  zone: string;
  tag?: string[];
}

/** vpc, subnet. */
export function addNetworkCommands(program: Command): void {
  addVpc(program.command("vpc").description("virtual private clouds"));
  addSubnet(program.command("subnet").description("subnets of a VPC"));
}

function addVpc(vpc: Command): void {
  vpc
    .command("create")
    .description("make a VPC and its first subnet")
    .requiredOption("--cidr <cidr>", "its IPv4 block")
    .requiredOption("--subnet <cidr>", "block of its first subnet")
    .option("--zone <zone>", "zone of the first subnet; empty: any", "")
    .option("--name <name>", "for people", "")
    .option("--owner <account>", "the account that will own it; an operator must name it", "")
    .option("--tag <key=value>", "may be repeated", collect)
    .addHelpText("after", "\nExample:\n  plenum vpc create --owner acct-… --name shop --cidr 10.0.0.0/16 --subnet 10.0.1.0/24")
    .action(
      withSession(async (session, options: CreateVpcOptions) => {
        const answer = await session.client(VpcServiceDefinition).createVpc({
          requestId: session.requestId,
          ownerAccount: options.owner,
          name: options.name,
          cidrBlock: options.cidr,
          firstSubnet: { cidrBlock: options.subnet, zoneId: options.zone },
          tags: parsePairs(options.tag ?? []),
        });
        if (session.json) return session.one(CreateVpcResponse, answer);
        session.one(vpcs, present(answer.vpc, "vpc"));
        session.say(`first subnet: ${answer.firstSubnet?.subnetId ?? "?"}`);
      }),
    );
  vpc
    .command("get <vpc>")
    .description("show one VPC")
    .action(
      withSession(async (session, vpcId: string, _options: object) => {
        session.one(vpcs, present((await session.client(VpcServiceDefinition).getVpc({ vpcId })).vpc, "vpc"));
      }),
    );
  vpc
    .command("list")
    .description("list the VPCs that you may see")
    .option("--owner <account>", "only of this account", "")
    .action(
      withSession(async (session, options: { owner: string }) => {
        const client = session.client(VpcServiceDefinition);
        session.list(
          vpcs,
          await session.pages(
            (page) => client.listVpcs({ ...page, ownerAccount: options.owner }),
            (answer) => answer.vpcs,
          ),
        );
      }),
    );
  vpc
    .command("update <vpc>")
    .description("change what is named, and nothing else")
    .option("--name <name>", "for people")
    .option("--tag <key=value>", "the new tags, whole; may be repeated", collect)
    .option("--etag <etag>", "only if it is still this version", "")
    .addHelpText("after", "\nExample:\n  plenum vpc update vpc-… --name shop")
    .action(
      withSession(async (session, vpcId: string, options: { name?: string; tag?: string[]; etag: string }) => {
        const updateMask = [...(options.name === undefined ? [] : ["name"]), ...(options.tag === undefined ? [] : ["tags"])];
        const { etag } = options;
        const answer = await session.client(VpcServiceDefinition).updateVpc({
          requestId: session.requestId,
          vpc: { vpcId, etag, name: options.name, tags: parsePairs(options.tag ?? []) },
          updateMask,
        });
        session.one(vpcs, present(answer.vpc, "vpc"));
      }),
    );
  vpc
    .command("delete <vpc>")
    .description("delete an empty VPC")
    .option("--etag <etag>", "only if it is still this version", "")
    .action(
      withSession(async (session, vpcId: string, options: { etag: string }) => {
        await session.client(VpcServiceDefinition).deleteVpc({ requestId: session.requestId, vpcId, etag: options.etag });
        session.say(`${vpcId} deleted`);
      }),
    );
}

function addSubnet(subnet: Command): void {
  subnet
    .command("create")
    .description("add a subnet to a VPC")
    .requiredOption("--vpc <vpc>", "the VPC")
    .requiredOption("--cidr <cidr>", "IPv4 block inside the VPC's")
    .option("--zone <zone>", "only instances of this zone use it; empty: any", "")
    .option("--name <name>", "for people", "")
    .addHelpText("after", "\nExample:\n  plenum subnet create --vpc vpc-… --cidr 10.0.2.0/24")
    .action(
      withSession(async (session, options: { vpc: string; cidr: string; zone: string; name: string }) => {
        const answer = await session.client(SubnetServiceDefinition).createSubnet({
          requestId: session.requestId,
          vpcId: options.vpc,
          cidrBlock: options.cidr,
          zoneId: options.zone,
          name: options.name,
        });
        session.one(subnets, present(answer.subnet, "subnet"));
      }),
    );
  subnet
    .command("get <subnet>")
    .description("show one subnet")
    .action(
      withSession(async (session, subnetId: string, _options: object) => {
        session.one(subnets, present((await session.client(SubnetServiceDefinition).getSubnet({ subnetId })).subnet, "subnet"));
      }),
    );
  subnet
    .command("list")
    .description("list the subnets that you may see")
    .option("--vpc <vpc>", "only of this VPC", "")
    .action(
      withSession(async (session, options: { vpc: string }) => {
        const client = session.client(SubnetServiceDefinition);
        session.list(
          subnets,
          await session.pages(
            (page) => client.listSubnets({ ...page, vpcId: options.vpc }),
            (answer) => answer.subnets,
          ),
        );
      }),
    );
  subnet
    .command("update <subnet>")
    .description("change what is named, and nothing else")
    .option("--name <name>", "for people")
    .option("--etag <etag>", "only if it is still this version", "")
    .addHelpText("after", "\nExample:\n  plenum subnet update subnet-… --name front")
    .action(
      withSession(async (session, subnetId: string, options: { name?: string; etag: string }) => {
        const updateMask = [...(options.name === undefined ? [] : ["name"])];
        const { etag } = options;
        const answer = await session.client(SubnetServiceDefinition).updateSubnet({
          requestId: session.requestId,
          subnet: { subnetId, etag, name: options.name },
          updateMask,
        });
        session.one(subnets, present(answer.subnet, "subnet"));
      }),
    );
  subnet
    .command("delete <subnet>")
    .description("delete a subnet without interfaces")
    .option("--etag <etag>", "only if it is still this version", "")
    .action(
      withSession(async (session, subnetId: string, options: { etag: string }) => {
        await session.client(SubnetServiceDefinition).deleteSubnet({ requestId: session.requestId, subnetId, etag: options.etag });
        session.say(`${subnetId} deleted`);
      }),
    );
}
