// Before anything is measured: every server gives the answer that is compared, over the TLS that is compared.

import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { TLSSocket } from "node:tls";
import type { Work } from "./works.ts";

/** Throws where the answer is not the one. Returns what TLS agreed on. */
export async function checkAnswer(url: string, work: Work): Promise<string | undefined> {
  const headers = Object.fromEntries(
    work.headers.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
  const client = work.secure ? https : http;
  const request = client.get(url, { headers, agent: false, rejectUnauthorized: false });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const { socket } = response;
  const agreed =
    socket instanceof TLSSocket
      ? `${socket.getProtocol()}, ${socket.getCipher().standardName}`
      : undefined;
  const body = Buffer.concat(await response.toArray());
  const encoding = response.headers["content-encoding"] ?? "identity";
  if (response.statusCode !== work.status || body.length !== work.bytes || encoding !== "identity")
    throw new Error(
      `${url} answers ${response.statusCode} with ${body.length} bytes (${encoding}), wanted ${work.status} with ${work.bytes}`,
    );
  if (!body.equals(Buffer.alloc(work.bytes, "x"))) throw new Error(`${url}: other bytes`);
  return agreed;
}
