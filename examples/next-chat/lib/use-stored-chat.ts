import type { UseChatHelpers } from "@ai-sdk/react";
import { useEffect } from "react";
import { isRunning, keyOf, store, storedMessages, type ChatMessage } from "./messages";

/** Keep a chat's messages in the browser as they come, and follow what another tab adds. */
export function useStoredChat(
  chatId: string,
  { messages, setMessages, status, resumeStream }: UseChatHelpers<ChatMessage>,
): void {
  const key = keyOf(chatId);

  useEffect(() => {
    if (messages.length > 0) store(key, JSON.stringify(messages));
  }, [key, messages]);

  useEffect(() => {
    if (status === "submitted" || status === "streaming") return;

    function follow(event: StorageEvent) {
      if (event.key !== key) return;
      const stored = storedMessages(chatId);
      const last = stored.at(-1);
      const known = last?.metadata?.taskId === messages.at(-1)?.metadata?.taskId;
      if (isRunning(last) && known) return; // the other tab is behind this one
      setMessages(stored);
      if (isRunning(last)) void resumeStream();
    }

    addEventListener("storage", follow);
    return () => removeEventListener("storage", follow);
  }, [chatId, key, messages, setMessages, status, resumeStream]);
}
