import { useRef, type KeyboardEvent } from "react";

/** Where a message is written. While an answer comes, its button stops the answer. */
export function Composer(props: {
  busy: boolean;
  send(text: string, files: FileList | undefined): void;
  stop(): void;
}) {
  const form = useRef<HTMLFormElement>(null);

  function send(data: FormData) {
    const files = form.current?.querySelector<HTMLInputElement>("[type=file]")?.files;
    const text = String(data.get("text")).trim();
    if (props.busy || (text === "" && !files?.length)) return;
    props.send(text, files?.length ? files : undefined);
    form.current?.reset();
  }

  function sendByEnter(event: KeyboardEvent) {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    form.current?.requestSubmit();
  }

  return (
    <form
      ref={form}
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send(new FormData(event.currentTarget));
      }}
    >
      <textarea name="text" aria-label="Message" placeholder="Message" rows={2} onKeyDown={sendByEnter} autoFocus />
      <input type="file" name="files" aria-label="Attach files" multiple />
      {props.busy ? (
        <button type="button" onClick={props.stop}>
          Stop
        </button>
      ) : (
        <button>Send</button>
      )}
    </form>
  );
}
