import "./workers";
import "monaco-graphql/esm/monaco-editor.js"; // named here so that its styles land in the page's one stylesheet
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./style.css";

import type { Fetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { getOperationAST } from "graphql";
import { useMemo } from "react";
import { createRoot } from "react-dom/client";
import { Api } from "./api";
import { Chosen } from "./chosen";
import examples from "./examples.graphql";
import variables from "./examples.json";
import { SessionStore, useSession } from "./session";
import { SignIn } from "./sign-in";
import { Upload } from "./upload";

function Playground({ api, sessions }: { api: Api; sessions: SessionStore }) {
  const { session } = useSession(sessions);
  // A new fetcher makes GraphiQL ask for the schema again, as someone else.
  const fetcher = useMemo(() => fetcherOf(api), [api, session?.token]);
  return (
    <>
      <header className="bar">
        <h1>Tagma</h1>
        <Upload api={api} sessions={sessions} />
        <SignIn api={api} sessions={sessions} />
      </header>
      <GraphiQL
        fetcher={fetcher}
        defaultTabs={[firstTab]}
        initialVariables={isNew ? firstTab.variables : undefined}
        defaultQuery="" // of further tabs
        defaultEditorToolsVisibility={false} // the examples want the room
        shouldPersistHeaders={false} // they may hold a token
      >
        <GraphiQL.Logo>
          <Chosen />
        </GraphiQL.Logo>
      </GraphiQL>
    </>
  );
}

const firstTab = {
  query: examples,
  variables: JSON.stringify(variables, null, 2),
};
// GraphiQL shows the first tab's query by itself, but not its variables; and
// these would win over what a person has written there since.
const isNew = localStorage.getItem("graphiql:tabState") === null;

function fetcherOf(api: Api): Fetcher {
  // Its type wants errors to be objects of a class; it takes them as they are in JSON.
  return ((operation, options) => {
    const document = options?.documentAST;
    const asked =
      document && getOperationAST(document, operation.operationName);
    return asked?.operation === "subscription"
      ? api.subscribe(operation, options?.headers)
      : api.execute(operation, options?.headers);
  }) as Fetcher;
}

const sessions = new SessionStore();
const api = new Api(new URL("graphql", document.baseURI), sessions);
createRoot(document.getElementById("root")!).render(
  <Playground api={api} sessions={sessions} />,
);
