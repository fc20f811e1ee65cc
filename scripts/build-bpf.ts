// The BPF objects are built on the machine that runs them; nothing is done where they are newer than their sources.
import { buildBpf, buildTestBpf } from "../host-agent/bpf/build.ts";

buildBpf();
buildTestBpf();
