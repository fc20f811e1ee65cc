import { openDatapath, type DatapathOptions } from "../index.ts";

// A stand-in for the agent: opens the datapath, guards a device, says so, and stays until it is killed.
const [options, ifindex] = JSON.parse(process.argv[2] ?? "") as [DatapathOptions, number];
openDatapath(options).guardDevice(ifindex);
process.stdout.write("open\n");
setInterval(() => {}, 1 << 30);
