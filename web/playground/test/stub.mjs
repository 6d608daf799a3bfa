// A small stand-in for the API: the whole schema, but answers only for what
// browser.mjs does. It answers inside the browser's driver, so it needs no port.

import { buildSchema, graphql, GraphQLError } from "graphql";
import { readFileSync } from "node:fs";

const schema = buildSchema(
  readFileSync(new URL("../../../schema.graphql", import.meta.url), "utf8"),
);

/** Answers the /graphql requests of a page, for one person. */
export async function stub(page, { username, password }) {
  const user = { username, role: "WRITER" };
  const token = "tagma_stub_0123456789";

  await page.route("**/graphql", async (route) => {
    const request = route.request();
    const { authorization } = request.headers();
    const refuse = (message) => {
      const extensions = { code: "UNAUTHENTICATED" };
      return new GraphQLError(message, { extensions });
    };
    const answer = (contents, status = 200) =>
      route.fulfill({
        status,
        contentType: "application/graphql-response+json",
        body: JSON.stringify(contents),
      });
    if (authorization && authorization !== `Bearer ${token}`)
      return answer({ errors: [refuse("the token is not known")] }, 401);

    const rootValue = {
      viewer: authorization ? user : null,
      server: { name: "Tagma", version: "stub" },
      login(given) {
        if (given.username !== username || given.password !== password)
          throw refuse("the user name or the password is wrong");
        const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
        return { token, expiresAt, user };
      },
      logout: true,
      uploadImages() {
        if (!authorization) throw refuse("sign in to upload images");
        if (request.headers()["graphql-require-preflight"] !== "1")
          throw new GraphQLError("GraphQL-Require-Preflight is missing");
        const body = request.postDataBuffer().toString("latin1");
        const [, filename] = body.match(/filename="([^"]+)"/);
        const problem = {
          code: "BAD_USER_INPUT",
          message: "the file ends in the middle of the image",
        };
        return {
          results: [
            filename.startsWith("broken")
              ? { filename, verdict: "REJECTED", problem }
              : { filename, verdict: "CREATED", image: { id: "1" } },
          ],
        };
      },
    };
    const { query, variables, operationName } = operationOf(request);
    return answer(
      await graphql({
        schema,
        source: query,
        rootValue,
        variableValues: variables,
        operationName,
      }),
    );
  });
}

/** The operation in a JSON body, or in a multipart one with its files as null. */
function operationOf(request) {
  const body = request.postDataBuffer().toString("utf8");
  if (!request.headers()["content-type"].startsWith("multipart/"))
    return JSON.parse(body);
  const [, operations] = body.match(/name="operations"\r\n\r\n(.+)\r\n/);
  const operation = JSON.parse(operations);
  operation.variables.files = ["a file"]; // what the real server puts there
  return operation;
}
