// The receiver's side: what openai-node and standardwebhooks make of a message.

import OpenAI from "openai";
import { Webhook } from "standardwebhooks";

import { outcome, run } from "./common.mjs";

await run({
  async verify({ body, headers, secret }) {
    const client = new OpenAI({ apiKey: "none", webhookSecret: secret });
    return {
      unwrapped: await outcome(() => client.webhooks.unwrap(body, headers)),
      verified: await outcome(() => new Webhook(secret).verify(body, headers)),
    };
  },
});
