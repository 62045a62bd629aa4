// node:http for everybody here. An import statement reads every export of it, and with them all of fetch and WebSocket is
// loaded: 50 ms and 16 MB in each worker, for nothing.

export const http = process.getBuiltinModule("node:http");
