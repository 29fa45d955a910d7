import { getToolName, isToolUIPart } from "ai";
import { isRunning, type ChatMessage } from "@/lib/messages";

/** One message. `live`: this page follows its answer now. */
export function Message({ message, live }: { message: ChatMessage; live: boolean }) {
  const { status, reason } = message.metadata ?? {};
  return (
    <li className={message.role}>
      {message.parts.map((part, index) => (
        <Part key={index} part={part} />
      ))}
      {live && status === "pending" && reason && (
        <p className="note">The answer was cut off. Longtask tries again.</p>
      )}
      {!live && (status === "cancelled" || isRunning(message)) && <p className="note">Stopped.</p>}
      {status === "failed" && <p className="note">Failed.</p>}
    </li>
  );
}

function Part({ part }: { part: ChatMessage["parts"][number] }) {
  if (part.type === "text") return <p className="text">{part.text}</p>;
  if (part.type === "reasoning")
    return (
      <details className="reasoning" open={part.state === "streaming"}>
        <summary>Reasoning</summary>
        <p className="text">{part.text}</p>
      </details>
    );
  if (part.type === "file")
    return part.mediaType.startsWith("image/") ? (
      <img src={part.url} alt={part.filename ?? "An image"} />
    ) : (
      <a href={part.url} download={part.filename}>
        {part.filename ?? "A file"}
      </a>
    );
  if (isToolUIPart(part))
    return (
      <p className="tool">
        <code>
          {getToolName(part)}({JSON.stringify(part.input) ?? ""})
        </code>{" "}
        {part.state === "output-available" && String(part.output)}
        {part.state === "output-error" && part.errorText}
      </p>
    );
  return null;
}
