// A descriptor that libuv watches for us: what its event loop does by itself for the handles of Node.

import type { openLibc } from "./native.mjs";

/** uv.h */
const UV_POLL = 8;
const UV_READABLE = 1;

type Native = NonNullable<Awaited<ReturnType<typeof openLibc>>>;

export type Alarm = { ref(): void; unref(): void; stop(): void };

/**
 * Has libuv watch a descriptor. What it calls runs outside of everything Node keeps for callbacks, ticks and promises among
 * them, so all it does is to ask for an immediate: `ring` is called in the same turn of the event loop.
 */
export function createAlarm(
  koffi: Native["koffi"],
  libc: Native["libc"],
  fd: number,
  ring: () => void,
): Alarm {
  const loop = libc.func("void* uv_default_loop()")();
  const sizeOf = libc.func("size_t uv_handle_size(int type)");
  const init = libc.func("int uv_poll_init(void* loop, void* handle, int fd)");
  // What libuv tells with it is not asked for.
  const callbackType = koffi.proto("void ()");
  const pointer = koffi.pointer(callbackType);
  // By name it would be declared twice where two pollers are opened.
  const start = libc.func("uv_poll_start", "int", ["void*", "int", pointer]);
  const stop = libc.func("int uv_poll_stop(void* handle)");
  const uvClose = libc.func("void uv_close(void* handle, void* callback)");
  const ref = libc.func("void uv_ref(void* handle)");
  const unref = libc.func("void uv_unref(void* handle)");
  // libuv's until it has closed, so never given back: one a process.
  const handle = koffi.alloc("uint8_t", Number(sizeOf(UV_POLL)));
  if (init(loop, handle, fd) !== 0) throw new Error("libuv cannot watch an epoll instance");
  const callback = koffi.register(() => void setImmediate(ring), pointer);
  start(handle, UV_READABLE, callback);
  unref(handle);

  let isOn = true;
  function end(): void {
    if (!isOn) return;
    isOn = false;
    stop(handle);
    uvClose(handle, null);
    koffi.unregister(callback);
    process.off("exit", end);
  }
  // Behind that there is no JavaScript to call any more, but libuv turns on to close what it has.
  process.once("exit", end);
  return { ref: () => void ref(handle), unref: () => void unref(handle), stop: end };
}
