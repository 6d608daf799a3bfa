import { useState, type FormEvent } from "react";
import type { Api } from "./api";
import { useSession, type SessionStore } from "./session";

/** The part of the bar that says who is signed in, or lets someone sign in. */
export function SignIn({
  api,
  sessions,
}: {
  api: Api;
  sessions: SessionStore;
}) {
  const { session, hint } = useSession(sessions);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(null);
    try {
      await api.signIn(
        String(form.get("username")),
        String(form.get("password")),
      );
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  }

  if (session)
    return (
      <div className="sign-in">
        <span className="who">
          Signed in as <strong>{session.user.username}</strong>{" "}
          <span className="role">{session.user.role.toLowerCase()}</span>
        </span>
        <button type="button" onClick={() => void api.signOut()}>
          Sign out
        </button>
      </div>
    );

  return (
    <form className="sign-in" onSubmit={(event) => void submit(event)}>
      <span role="alert">{problem ?? hint}</span>
      <input
        name="username"
        aria-label="User name"
        placeholder="User name"
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        required
      />
      <input
        name="password"
        aria-label="Password"
        placeholder="Password"
        type="password"
        autoComplete="current-password"
        required
      />
      <button type="submit" className="primary" disabled={busy}>
        Sign in
      </button>
    </form>
  );
}
