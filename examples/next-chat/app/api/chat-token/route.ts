const LONGTASK_URL = process.env.LONGTASK_URL ?? "http://127.0.0.1:8000";
const LONGTASK_API_KEY = process.env.LONGTASK_API_KEY;

/** Give a browser a token for one chat: `{token, expiresAt}`, or null if Longtask has no keys. */
export async function POST(request: Request): Promise<Response> {
  const { chatId } = (await request.json()) as { chatId: string };

  // Here your app checks who asks, and that this chat is theirs.

  if (!LONGTASK_API_KEY) return Response.json(null);
  const answer = await fetch(`${LONGTASK_URL}/api/chat/${encodeURIComponent(chatId)}/token`, {
    method: "POST",
    headers: { Authorization: `Bearer ${LONGTASK_API_KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify({ may: ["send", "follow", "stop"] }),
    cache: "no-store",
  });
  return new Response(await answer.text(), {
    status: answer.status,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store" },
  });
}
