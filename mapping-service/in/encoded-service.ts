import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import type { Frame } from "../core/frames.ts";

/** Responses that are bytes already: one change goes to a thousand hosts and is encoded once. */
const encodedFrames = {
  encode: (frame: Frame) => ({ finish: () => frame }),
  decode: (frame: Uint8Array): Frame => frame,
};

const { methods } = MappingServiceDefinition;

/** The contract's service, whose watch answers with encoded `WatchMappingsResponse`s. */
export const EncodedMappingService = {
  ...MappingServiceDefinition,
  methods: { ...methods, watchMappings: { ...methods.watchMappings, responseType: encodedFrames } },
} as const;
