// SETTINGS (RFC 9113 6.5): what we say at the start, and what the client's mean.

import {
  ConnectionFault,
  DEFAULT_TABLE_BYTES,
  DEFAULT_WINDOW,
  MAX_FRAME_BYTES,
  MAX_WINDOW,
  setting,
} from "./frame.ts";
import type { Http2Limits } from "./limits.ts";

const SETTING_BYTES = 6;
const MAX_MAX_FRAME_BYTES = 0xff_ffff;

/** The client's settings that concern what we send. */
export type PeerSettings = {
  headerTableBytes: number;
  initialWindow: number;
};

export function defaultPeerSettings(): PeerSettings {
  return {
    headerTableBytes: DEFAULT_TABLE_BYTES,
    initialWindow: DEFAULT_WINDOW,
  };
}

/** Our own, as identifiers and values. */
export function ownSettings(limits: Http2Limits): readonly (readonly [number, number])[] {
  return [
    [setting.maxConcurrentStreams, limits.concurrentStreams],
    [setting.initialWindowSize, limits.streamWindowBytes],
    [setting.maxHeaderListSize, limits.headerListBytes],
    [setting.enableConnectProtocol, 1],
    [setting.noRfc7540Priorities, 1],
  ];
}

/** Takes the payload of a SETTINGS frame over into `settings`, in order. Throws for a value that is not allowed. */
export function readSettings(
  settings: PeerSettings,
  source: Buffer,
  start: number,
  end: number,
): void {
  if ((end - start) % SETTING_BYTES !== 0)
    throw new ConnectionFault("FRAME_SIZE_ERROR", "SETTINGS are cut short");
  for (let at = start; at < end; at += SETTING_BYTES)
    apply(settings, source.readUInt16BE(at), source.readUInt32BE(at + 2));
}

function apply(settings: PeerSettings, identifier: number, value: number): void {
  switch (identifier) {
    case setting.headerTableSize:
      settings.headerTableBytes = value;
      return;
    case setting.enablePush:
    case setting.enableConnectProtocol:
    case setting.noRfc7540Priorities:
      if (value > 1) throw new ConnectionFault("PROTOCOL_ERROR", "A setting is neither 0 nor 1");
      return;
    case setting.initialWindowSize:
      if (value > MAX_WINDOW)
        throw new ConnectionFault("FLOW_CONTROL_ERROR", "The initial window is too large");
      settings.initialWindow = value;
      return;
    case setting.maxFrameSize:
      if (value < MAX_FRAME_BYTES || value > MAX_MAX_FRAME_BYTES)
        throw new ConnectionFault("PROTOCOL_ERROR", "The frame size is out of range");
      // Larger frames would only hold up others.
      return;
    default:
    // Unknown ones are ignored; the rest limits what we never send.
  }
}
