import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { takeListenRequests } from "../../supervisor/activation.ts";

suite("takeListenRequests", () => {
  test("takes what is meant for us and leaves the rest", () => {
    const environment = {
      PATH: "/bin",
      LISTEN_FDS: "3",
      LISTEN_PID: "7",
      LISTEN_FDNAMES: "web:unknown",
    };
    assert.deepEqual(takeListenRequests(environment, 7), [
      { fd: 3, name: "web" },
      { fd: 4, name: "unknown" },
      { fd: 5, name: "" },
    ]);
    assert.deepEqual(environment, { PATH: "/bin" });
  });

  test("takes nothing that is another's, or nonsense", () => {
    for (const variables of [
      { LISTEN_FDS: "1", LISTEN_PID: "8" },
      { LISTEN_FDS: "1" },
      { LISTEN_FDS: "-1", LISTEN_PID: "7" },
      { LISTEN_FDS: "many", LISTEN_PID: "7" },
      { LISTEN_FDS: "", LISTEN_PID: "7" },
      {},
    ])
      assert.deepEqual(takeListenRequests({ ...variables }, 7), [], JSON.stringify(variables));
    assert.equal(takeListenRequests({ LISTEN_FDS: "999999999", LISTEN_PID: "7" }, 7).length, 4_096);
  });
});
