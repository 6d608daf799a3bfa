import { useEffect, useRef, useState, type ChangeEvent } from "react";
import { ApiError, type Api } from "./api";
import { useSession, type SessionStore } from "./session";

interface Row {
  file: File;
  verdict: string; // the server's, or what this page knows before it has one
  detail: string;
}

/**
 * A button that sends photographs and a dialog that shows what became of each.
 * They go one at a time, so that verdicts come while one waits and a batch is
 * never larger than the server takes.
 */
export function Upload({
  api,
  sessions,
}: {
  api: Api;
  sessions: SessionStore;
}) {
  const { session } = useSession(sessions);
  const picker = useRef<HTMLInputElement>(null);
  const [files, setFiles] = useState<File[]>([]);

  function choose(event: ChangeEvent<HTMLInputElement>) {
    setFiles([...(event.currentTarget.files ?? [])]);
    event.currentTarget.value = ""; // the same files may be chosen again
  }

  return (
    <>
      <button
        type="button"
        disabled={!session}
        title={session ? undefined : "Sign in first"}
        onClick={() => picker.current?.click()}
      >
        Upload photographs…
      </button>
      <input
        ref={picker}
        type="file"
        accept="image/jpeg"
        aria-label="Photographs"
        multiple
        hidden
        onChange={choose}
      />
      {files.length > 0 && (
        <UploadDialog api={api} files={files} onClose={() => setFiles([])} />
      )}
    </>
  );
}

interface UploadDialogProps {
  api: Api;
  files: File[];
  onClose: () => void;
}

function UploadDialog({ api, files, onClose }: UploadDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [rows, setRows] = useState<Row[]>(() =>
    files.map((file) => ({ file, verdict: "waiting", detail: "" })),
  );
  const done = rows.filter(({ verdict }) => verdict !== "waiting").length;

  useEffect(() => {
    dialog.current?.showModal();
    const leaving = new AbortController();
    void sendAll(api, files, leaving.signal, (row) =>
      setRows((rows) => rows.map((old) => (old.file === row.file ? row : old))),
    );
    return () => leaving.abort();
  }, [api, files]);

  return (
    <dialog ref={dialog} className="upload" onClose={onClose}>
      <h2>
        {done < files.length
          ? `Uploading ${done + 1} of ${files.length}…`
          : "Done"}
      </h2>
      <div className="rows">
        <table>
          <thead>
            <tr>
              <th>File</th>
              <th>Verdict</th>
              <th>Why</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ file, verdict, detail }, index) => (
              <tr key={index}>
                <td>{file.name}</td>
                <td className={`verdict ${verdict.toLowerCase()}`}>
                  {verdict}
                </td>
                <td>{detail}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <button type="button" onClick={() => dialog.current?.close()}>
        {done < files.length ? "Stop" : "Close"}
      </button>
    </dialog>
  );
}

/** Sends the files in turn until the signal, telling of each. */
async function sendAll(
  api: Api,
  files: File[],
  signal: AbortSignal,
  tell: (row: Row) => void,
): Promise<void> {
  for (const file of files) {
    try {
      const { verdict, problem } = await api.upload(file, signal);
      tell({ file, verdict, detail: problem?.message ?? "" });
    } catch (error) {
      if (signal.aborted) return;
      const verdict = error instanceof ApiError ? error.code : "NOT SENT";
      const detail = error instanceof Error ? error.message : String(error);
      tell({ file, verdict, detail });
    }
  }
}
