// Who is signed in. It is kept in sessionStorage: for this tab only, and gone
// when the tab is closed.

import { useSyncExternalStore } from "react";

export interface Session {
  token: string;
  expiresAt: string;
  user: { username: string; role: string };
}

interface State {
  session: Session | null;
  /** Why one should sign in (again), for the person to read. */
  hint: string | null;
}

const key = "tagma.session";

export class SessionStore {
  #state: State;
  #listeners = new Set<() => void>();

  constructor() {
    const stored = sessionStorage.getItem(key);
    const session = stored ? (JSON.parse(stored) as Session) : null;
    this.#state =
      session && new Date(session.expiresAt) <= new Date()
        ? { session: null, hint: "Your session has expired. Sign in again." }
        : { session, hint: null };
  }

  get state(): State {
    return this.#state;
  }

  begin(session: Session): void {
    sessionStorage.setItem(key, JSON.stringify(session));
    this.#become({ session, hint: null });
  }

  end(hint: string | null = null): void {
    sessionStorage.removeItem(key);
    this.#become({ session: null, hint });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #become(state: State): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

export function useSession(store: SessionStore): State {
  return useSyncExternalStore(store.subscribe, () => store.state);
}
