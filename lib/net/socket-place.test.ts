import { expect, it } from "vitest";
import { socketPlace } from "./socket-place.ts";

it.each([
  ["unix:/run/plenum/api.sock", { path: "/run/plenum/api.sock" }],
  ["unix:/a:7", { path: "/a:7" }],
  ["127.0.0.1:7443", { host: "127.0.0.1", port: 7443 }],
  ["api.example.org:443", { host: "api.example.org", port: 443 }],
  ["[::1]:0", { host: "::1", port: 0 }],
  ["[fd00::2]:7443", { host: "fd00::2", port: 7443 }],
  ["api.example.org", { host: "api.example.org", port: NaN }],
])("takes %s apart", (address, place) => expect(socketPlace(address)).toEqual(place));
