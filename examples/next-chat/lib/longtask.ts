import { WorkflowChatTransport } from "@ai-sdk/workflow/client";
import { generateId, type ChatTransport } from "ai";
import type { ChatMessage } from "./messages";
import { authorizationFor } from "./token";
import { definitions } from "./tools";

export type Longtask = {
  transport: ChatTransport<ChatMessage>;
  stop(taskId: string | undefined): Promise<void>;
};

/** Connect `useChat` to one chat of the Longtask at `url`. */
export function connect(url: string, chatId: string): Longtask {
  const api = `${url}/api/chat`;
  const authorization = authorizationFor(chatId);

  async function request(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
    return untilAnswered(init, async () =>
      fetch(input, { ...init, headers: { ...init.headers, ...(await authorization()) } }),
    );
  }

  const transport = new WorkflowChatTransport<ChatMessage>({
    api,
    fetch: request,
    // A stream that breaks goes on from the chunk that the page has, however often it breaks.
    maxConsecutiveErrors: Infinity,
    prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
      // What else Longtask takes: model, system, temperature, maxTokens, metadata, ttl.
      body: { id, messages, trigger, messageId, options: { tools: definitions } },
      headers: { "Content-Type": "application/json", "Idempotency-Key": keyOf(messages.at(-1)) },
    }),
  });

  return {
    // Longtask tells a message from its beginning when the page resumes a chat.
    transport: Object.assign(transport, { resumeStreamIsReplay: true }),

    /** End the answer also in Longtask: `stop()` of `useChat` only closes the connection. */
    async stop(taskId) {
      const response = await request(`${api}/${encodeURIComponent(chatId)}/stop`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ activeStreamId: taskId }),
      });
      if (!response.ok) throw new Error(await response.text());
    },
  };
}

/** The key of a request that has this message last. A request with the same key starts nothing
 * twice: not if it is repeated, and not if two tabs send the results of the same tool calls. */
function keyOf(last: ChatMessage | undefined): string {
  return (last?.role === "assistant" && last.metadata?.taskId) || generateId();
}

/** Repeat a request that got no answer: without end for what only reads, for half a minute else. */
async function untilAnswered(
  { method = "GET", signal }: RequestInit,
  send: () => Promise<Response>,
): Promise<Response> {
  const giveUp = method === "GET" ? Infinity : Date.now() + 30_000;
  for (let wait = 500; ; wait = Math.min(2 * wait, 10_000)) {
    const isLast = Date.now() + wait > giveUp;
    try {
      const response = await send();
      if (isLast || ![502, 503, 504].includes(response.status)) return response;
    } catch (error) {
      // A TypeError is fetch's word for no connection. Others are a stop, or a refused token.
      if (isLast || !(error instanceof TypeError)) throw error;
    }
    await pause(wait, signal);
  }
}

/** Wait so many milliseconds; less if the network comes back, or the reader stops the answer. */
function pause(milliseconds: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    addEventListener("online", end);
    signal?.addEventListener("abort", end);
  });
}

/** Say what went wrong. Longtask's refusals are JSON, which the transport hands on as it is. */
export function explain(error: Error): string {
  try {
    const problem = JSON.parse(error.message.slice(error.message.indexOf("{")));
    return problem.detail ?? problem.title ?? error.message;
  } catch {
    return error.message;
  }
}
