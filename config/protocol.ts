// One protocol plugin, as a vhost enables it.

export type ProtocolConfig = {
  readonly name: string;
  /** As written in the file; the plugin's own shape decodes them in the worker. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Serves WebSocket clients that name no protocol. */
  readonly isDefault: boolean;
  /** Where it stands, for messages: "ws-protocols[0].lws-status". */
  readonly path: string;
};
