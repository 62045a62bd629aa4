// Records of a TLS 1.3 client, made by hand: what no honest client sends (RFC 8446 5.2, 7.1 to 7.3).

import { createCipheriv, createHmac } from "node:crypto";
import type { TLSSocket } from "node:tls";

export const recordType = { alert: 21, handshake: 22, data: 23 } as const;

const TAG_BYTES = 16;
const KEY_UPDATE = 24;

/** HKDF-Expand-Label() for as much as one hash gives. */
function derive(secret: Buffer, label: string, bytes: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, bytes, name.length]), name, Buffer.from([0, 1])]);
  return createHmac("sha384", secret).update(info).digest().subarray(0, bytes);
}

export class ClientRecords {
  #secret: Buffer;
  #count = 0;

  /** `secret` is CLIENT_TRAFFIC_SECRET_0 of a connection with TLS_AES_256_GCM_SHA384 on which the client has sent nothing yet. */
  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  record(type: number, content: Buffer): Buffer {
    const inner = Buffer.concat([content, Buffer.from([type])]);
    const head = Buffer.from([recordType.data, 3, 3, 0, 0]);
    head.writeUInt16BE(inner.length + TAG_BYTES, 3);
    const nonce = derive(this.#secret, "iv", 12);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ this.#count) >>> 0, 8);
    this.#count += 1;
    const cipher = createCipheriv("aes-256-gcm", derive(this.#secret, "key", 32), nonce);
    cipher.setAAD(head);
    return Buffer.concat([head, cipher.update(inner), cipher.final(), cipher.getAuthTag()]);
  }

  /** With `asks` the other side is to change its keys too. */
  keyUpdate(asks: boolean): Buffer {
    const record = this.record(recordType.handshake, Buffer.from([KEY_UPDATE, 0, 0, 1, +asks]));
    this.#secret = derive(this.#secret, "traffic upd", 48);
    this.#count = 0;
    return record;
  }

  /** The beginning of a KeyUpdate, whose end never comes. */
  halfKeyUpdate(): Buffer {
    return this.record(recordType.handshake, Buffer.from([KEY_UPDATE, 0, 0, 1]));
  }
}

/** Those of `client`, to be asked before its handshake; to be called behind it. */
export function recordsOf(client: TLSSocket): () => ClientRecords {
  let secret: Buffer | undefined;
  client.on("keylog", (line: Buffer) => {
    const [, digits] = /^CLIENT_TRAFFIC_SECRET_0 \S+ ([\da-f]+)/.exec(line.toString()) ?? [];
    if (digits !== undefined) secret = Buffer.from(digits, "hex");
  });
  return () => {
    if (!secret) throw new Error("No TLS 1.3, or no handshake yet");
    return new ClientRecords(secret);
  };
}
