const LONGTASK_SERVER = process.env.LONGTASK_SERVER ?? "http://127.0.0.1:8000";
const LONGTASK_KEY = process.env.LONGTASK_KEY;

/** Give a browser a token for one chat: `{token, expiresAt}`, or null if Longtask has no keys. */
export async function POST(request: Request): Promise<Response> {
  const { chatId } = (await request.json()) as { chatId: string };

  // Here your app checks who asks, and that this chat is theirs.

  if (!LONGTASK_KEY) return Response.json(null);
  const answer = await fetch(`${LONGTASK_SERVER}/api/chat/${encodeURIComponent(chatId)}/token`, {
    method: "POST",
    headers: { Authorization: `Bearer ${LONGTASK_KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify({ may: ["send", "follow", "stop"] }),
    cache: "no-store",
  });
  return new Response(await answer.text(), {
    status: answer.status,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store" },
  });
}
