"use client";

import { useChat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithToolCalls } from "ai";
import { useState } from "react";
import { connect, explain } from "@/lib/longtask";
import type { ChatMessage } from "@/lib/messages";
import { runTool, type Tools } from "@/lib/tools";
import { useStoredChat } from "@/lib/use-stored-chat";
import { Composer } from "./composer";
import { Message } from "./message";

export function Chat(props: { id: string; longtaskUrl: string; stored: ChatMessage[] }) {
  const [longtask] = useState(() => connect(props.longtaskUrl, props.id));
  const [stopError, setStopError] = useState<Error>();

  const chat = useChat<ChatMessage>({
    id: props.id,
    messages: props.stored,
    transport: longtask.transport,
    resume: props.stored.length > 0, // on loading, an answer goes on where it is
    throttle: 50,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall({ toolCall }) {
      const call = { tool: toolCall.toolName as keyof Tools, toolCallId: toolCall.toolCallId };
      // Not awaited: addToolOutput waits for the answer in which the tool is called.
      void runTool(toolCall).then(
        (output) => chat.addToolOutput({ ...call, output }),
        (error: Error) =>
          chat.addToolOutput({ ...call, state: "output-error", errorText: error.message }),
      );
    },
  });
  useStoredChat(props.id, chat);

  const { messages, status } = chat;
  const last = messages.at(-1);
  const busy = status === "submitted" || status === "streaming";
  const error = chat.error ?? stopError;

  function stop() {
    void chat.stop();
    // Until the answer begins, the last message is of the task before.
    const taskId = status === "streaming" ? last?.metadata?.taskId : undefined;
    longtask.stop(taskId).catch(setStopError);
  }

  return (
    <div className="chat">
      <header>
        <h1>Longtask chat</h1>
        <a href="/">New chat</a>
      </header>
      <main>
        <div>
          <ol aria-live="polite" aria-busy={busy}>
            {messages.map((message) => (
              <Message key={message.id} message={message} live={busy && message === last} />
            ))}
          </ol>
          {busy && <p className="waiting" role="status" aria-label="The model is at work" />}
          {error && (
            <p className="error" role="alert">
              {explain(error)}
            </p>
          )}
          {!busy && last && (
            <button className="again" onClick={() => void chat.regenerate()}>
              {error || last.role === "user" ? "Try again" : "Regenerate"}
            </button>
          )}
        </div>
      </main>
      <Composer
        busy={busy}
        send={(text, files) => {
          setStopError(undefined);
          void chat.sendMessage({ text, files });
        }}
        stop={stop}
      />
    </div>
  );
}
