import { connection } from "next/server";
import { StoredChat } from "./stored-chat";

export default async function Page({ params }: PageProps<"/chat/[id]">) {
  const { id } = await params;
  await connection(); // read the address now, not when the app is built
  const url = process.env.LONGTASK_SERVER ?? "http://127.0.0.1:8000";
  return <StoredChat key={id} id={id} longtaskUrl={url} />;
}
