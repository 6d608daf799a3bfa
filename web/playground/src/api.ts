// The one way from this page to the server.

import type { FetcherParams } from "@graphiql/toolkit";
import type { FormattedExecutionResult as Answer } from "graphql";
import { createClient } from "graphql-sse";
import type { Session, SessionStore } from "./session";

/** An answer without the data that was asked for. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message);
  }
}

export interface UploadResult {
  verdict: string;
  problem: { message: string } | null;
}

const json = { "Content-Type": "application/json" };

export class Api {
  constructor(
    private readonly endpoint: URL,
    private readonly sessions: SessionStore,
  ) {}

  async signIn(username: string, password: string): Promise<void> {
    const query = `mutation SignIn($username: String!, $password: String!) {
      login(username: $username, password: $password) { token expiresAt user { username role } }
    }`;
    const answer = await this.#send(
      JSON.stringify({ query, variables: { username, password } }),
      new Headers(json),
    );
    const { login } = dataOf<{ login: Session }>(answer);
    this.sessions.begin(login);
  }

  /** Signs out here even if the server cannot be told. */
  async signOut(): Promise<void> {
    const told = this.#send(
      JSON.stringify({ query: "mutation SignOut { logout { tokenId } }" }),
      new Headers({ ...json, ...this.#authorization() }),
    );
    await told.catch(() => undefined);
    this.sessions.end();
  }

  /**
   * Sends any operation. The given headers win over the session's, so that an
   * access token can be tried in the headers editor.
   */
  execute(
    operation: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return this.#sendSigned(JSON.stringify(operation), { ...json, ...headers });
  }

  /** Answers to a subscription as they come, by server-sent events. */
  subscribe(
    { query, variables, operationName }: FetcherParams,
    headers: Record<string, string> = {},
  ): AsyncIterable<unknown> {
    const events = createClient({
      url: this.endpoint.href,
      headers: { ...this.#authorization(), ...headers },
      retryAttempts: 0, // what was missed would not show
    });
    return events.iterate({
      query,
      variables,
      operationName: operationName ?? undefined,
    });
  }

  /** Sends one photograph, as a GraphQL multipart request. */
  async upload(file: File, signal: AbortSignal): Promise<UploadResult> {
    const query = `mutation Upload($files: [Upload!]!) {
      uploadImages(files: $files) {
        results { verdict problem { message } }
      }
    }`;
    const form = new FormData(); // the specification fixes the order of the parts
    form.set(
      "operations",
      JSON.stringify({ query, variables: { files: [null] } }),
    );
    form.set("map", JSON.stringify({ file: ["variables.files.0"] }));
    form.set("file", file);

    const preflight = { "GraphQL-Require-Preflight": "1" };
    const answer = await this.#sendSigned(form, preflight, signal);
    const { uploadImages } = dataOf<{
      uploadImages: { results: UploadResult[] };
    }>(answer);
    const [result] = uploadImages.results;
    if (!result) throw new ApiError("the server gave no verdict", "INTERNAL");
    return result;
  }

  async #sendSigned(
    body: BodyInit,
    given: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Answer> {
    const headers = new Headers(this.#authorization());
    for (const [name, value] of Object.entries(given)) headers.set(name, value);
    const credentials = headers.get("Authorization");
    const answer = await this.#send(body, headers, signal);
    if (codesOf(answer).includes("UNAUTHENTICATED"))
      this.#wasRefused(credentials);
    return answer;
  }

  /** The headers of the person signed in, if there is one. */
  #authorization(): Record<string, string> {
    const { session } = this.sessions.state;
    return session ? { Authorization: `Bearer ${session.token}` } : {};
  }

  #wasRefused(credentials: string | null): void {
    const { session, hint } = this.sessions.state;
    if (session && credentials === `Bearer ${session.token}`)
      this.sessions.end("The server no longer knows you. Sign in again.");
    else if (!session && !credentials)
      this.sessions.end(hint ?? "The server asks you to sign in first.");
  }

  async #send(
    body: BodyInit,
    headers: Headers,
    signal?: AbortSignal,
  ): Promise<Answer> {
    headers.set(
      "Accept",
      "application/graphql-response+json, application/json;q=0.9",
    );
    const response = await fetch(this.endpoint, {
      method: "POST",
      body,
      headers,
      signal,
    });
    const answer = await parse(response);
    if (answer) return answer;
    const message = `The server answered ${response.status} ${response.statusText}`;
    const code = response.status === 401 ? "UNAUTHENTICATED" : "INTERNAL";
    return { errors: [{ message, extensions: { code } }] };
  }
}

/** The answer in a response's body, if it has one of GraphQL's form. */
async function parse(response: Response): Promise<Answer | null> {
  const body: unknown = await response.json().catch(() => null);
  const isAnswer =
    typeof body === "object" &&
    body !== null &&
    ("data" in body || "errors" in body);
  return isAnswer ? (body as Answer) : null;
}

function codesOf(answer: Answer): unknown[] {
  return (answer.errors ?? []).map((error) => error.extensions?.["code"]);
}

function dataOf<Data>(answer: Answer): Data {
  const error = answer.errors?.[0];
  if (error)
    throw new ApiError(error.message, String(error.extensions?.["code"]));
  return answer.data as Data;
}
