"use client";

import { useEffect, useState } from "react";
import { storedMessages, type ChatMessage } from "@/lib/messages";
import { Chat } from "./chat";

/** The chat, once the page is in a browser: only there its messages can be read. */
export function StoredChat({ id, longtaskUrl }: { id: string; longtaskUrl: string }) {
  const [stored, setStored] = useState<ChatMessage[]>();
  useEffect(() => setStored(storedMessages(id)), [id]);
  return stored && <Chat id={id} longtaskUrl={longtaskUrl} stored={stored} />;
}
