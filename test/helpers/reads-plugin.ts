// A plugin that answers when it has read the whole body.

/** To be written as plugins/reads.mjs; turned on by `"ws-protocols": [{ "reads": {} }]`. */
export const READS_PLUGIN = `export default {
  name: "reads",
  start: () => ({
    async request(exchange) {
      for await (const chunk of exchange.body);
      exchange.send(200, []);
    },
  }),
};`;
