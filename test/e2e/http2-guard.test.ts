import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { text } from "node:stream/consumers";
import test from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico } from "../helpers/server.ts";
import { tlsSite } from "./tls-site.ts";

test("guards ask HTTP/2 as they ask HTTP/1.1, a WebSocket among its streams too", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const guarded = { "basic-auth": "./passwords" };
  const site = tlsSite([
    {
      name: "a.test",
      pair: make({ names: ["a.test"] }),
      keys: {
        mounts: [
          { mountpoint: "/", origin: "file://./site/a.test" },
          { mountpoint: "/in", origin: "cgi://./env.cgi", ...guarded },
          { mountpoint: "/far", origin: "file://./site/a.test", allow: "192.0.2.1" },
        ],
        "ws-protocols": { "lws-mirror-protocol": guarded },
      },
    },
  ]);
  const portico = await startPortico(t, {
    conf: site.conf,
    // "secret", with bcrypt.
    files: {
      ...site.files,
      passwords: "ann:$2b$04$SKjzGZ8qsZuy4CYff1./TOEKFtF4WI70BufgpAbXs7YD/dAo22Iba\n",
    },
    workers: 1,
  });
  const session = http2.connect(`https://127.0.0.1:${portico.port()}`, {
    rejectUnauthorized: false,
    servername: "a.test",
  });
  t.after(() => session.destroy());
  await once(session, "remoteSettings");
  const authorization = `Basic ${Buffer.from("ann:secret").toString("base64")}`;
  const base = { ":authority": "a.test", ":scheme": "https" };
  const ask = async (
    headers: http2.OutgoingHttpHeaders,
  ): Promise<readonly [status: number, challenge: string | undefined, body: string]> => {
    const stream = session.request({ ...base, ...headers });
    stream.end();
    const [answer] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    return [Number(answer[":status"]), answer["www-authenticate"], await text(stream)];
  };

  const [status, challenge, body] = await ask({ ":path": "/in" });
  assert.deepEqual([status, challenge], [401, 'Basic realm="a.test", charset="UTF-8"']);
  assert.match(body, /401 Unauthorized/);
  // Some at once: the streams wait for their password beside each other.
  const answers = await Promise.all(
    ["secret", "wrong", "secret", "other"].map((password) =>
      ask({
        ":path": "/x/../in/",
        ":method": "POST",
        authorization: `Basic ${Buffer.from(`ann:${password}`).toString("base64")}`,
      }),
    ),
  );
  assert.deepEqual(
    answers.map(([found]) => found),
    [200, 401, 200, 401],
  );
  assert.match(answers[0]?.[2] ?? "", /^REMOTE_USER=ann$/m);
  assert.equal((await ask({ ":path": "/far/" }))[0], 403);
  assert.equal((await ask({ ":path": "/" }))[0], 200);

  const open = async (fields: http2.OutgoingHttpHeaders): Promise<number> => {
    const stream = session.request({
      ...base,
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":path": "/",
      "sec-websocket-version": "13",
      "sec-websocket-protocol": "lws-mirror-protocol",
      ...fields,
    });
    const [answer] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    stream.close();
    return Number(answer[":status"]);
  };
  assert.equal(await open({}), 401);
  assert.equal(await open({ authorization: `${authorization}AA` }), 401);
  assert.equal(await open({ authorization }), 200);
});
