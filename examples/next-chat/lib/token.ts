type Token = { token: string; expiresAt: number } | null;

const EARLY = 60_000;

/** Return a function that gives the headers which let this page use one chat: none, if Longtask
 * has no API keys. It asks this app's server for a new token before the old one expires. */
export function authorizationFor(chatId: string): () => Promise<Record<string, string>> {
  let asked: Promise<Token> | undefined;

  async function ask(): Promise<Token> {
    const response = await fetch("/api/chat-token", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ chatId }),
    });
    if (!response.ok) throw new Error(`No token for this chat: ${await response.text()}`);
    return (await response.json()) as Token;
  }

  return async (): Promise<Record<string, string>> => {
    const had = await asked?.catch(() => undefined);
    if (had === undefined || (had !== null && had.expiresAt - EARLY < Date.now())) asked = ask();
    const token = await asked;
    return token ? { Authorization: `Bearer ${token.token}` } : {};
  };
}
