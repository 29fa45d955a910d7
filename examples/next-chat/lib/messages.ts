import type { UIDataTypes, UIMessage } from "ai";
import type { Tools } from "./tools";

/** What Longtask tells about the task that an answer is from. */
export type Metadata = {
  taskId?: string;
  status?: "pending" | "running" | "completed" | "failed" | "cancelled";
  /** Why the last attempt was lost, until the next one begins. */
  reason?: string | null;
  model?: string;
};

export type ChatMessage = UIMessage<Metadata, UIDataTypes, Tools>;

export function isRunning(message: ChatMessage | undefined): boolean {
  return message?.metadata?.status === "pending" || message?.metadata?.status === "running";
}

export function keyOf(chatId: string): string {
  return `chat:${chatId}`;
}

export function storedMessages(chatId: string): ChatMessage[] {
  return JSON.parse(localStorage.getItem(keyOf(chatId)) ?? "[]") as ChatMessage[];
}

/** Keep a text in the browser. Where that is full, the page works on without. */
export function store(key: string, text: string): void {
  try {
    localStorage.setItem(key, text);
  } catch (error) {
    console.warn("The browser keeps no more:", error);
  }
}
