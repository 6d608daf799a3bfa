// Files as the multipart request specification has them, from the clients that
// send them by themselves and from a form made by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { BatchHttpLink } from "@apollo/client/link/batch-http";
import { Client, fetchExchange } from "@urql/core";
import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";
import { SignIn, Upload, endpoint, person, photographs } from "./tagma.mjs";

const One = `
  mutation One($file: Upload!) {
    uploadImages(files: [$file]) { results { filename verdict } }
  }
`;
const Several = `
  mutation Several($files: [Upload!]!, $file: Upload!) {
    many: uploadImages(files: $files) { results { filename verdict } }
    one: uploadImages(files: [$file]) { results { filename verdict } }
  }
`;
const [photograph, second] = photographs;

const signedIn = await fetch(endpoint, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ query: SignIn, variables: person }),
});
const { token } = (await signedIn.json()).data.login;
const headers = { authorization: `Bearer ${token}` };

const urql = new Client({
  url: endpoint,
  exchanges: [fetchExchange],
  fetchOptions: { headers },
});
const apollo = new ApolloClient({
  cache: new InMemoryCache(),
  link: new UploadHttpLink({ uri: endpoint, headers }),
});

/** Each way to send a mutation, answering with its data. */
const clients = {
  urql: async (query, variables) => {
    const { data, error } = await urql.mutation(query, variables);
    assert.ifError(error);
    return data;
  },
  "Apollo Client": async (query, variables) =>
    (await apollo.mutate({ mutation: gql(query), variables })).data,
};

for (const [name, send] of Object.entries(clients)) {
  const files = ({ results }) => results.map(({ filename }) => filename);

  test(`${name} sends a single file`, async () => {
    const { uploadImages } = await send(One, { file: photograph });
    assert.deepEqual(files(uploadImages), [photograph.name]);
  });

  test(`${name} sends a list of files`, async () => {
    const { uploadImages } = await send(Upload, { files: photographs });
    assert.deepEqual(
      files(uploadImages),
      photographs.map(({ name }) => name),
    );
  });

  test(`${name} sends files for two variables`, async () => {
    const { many, one } = await send(Several, {
      files: [photograph, second],
      file: photographs[2],
    });
    assert.deepEqual(files(many), [photograph.name, second.name]);
    assert.deepEqual(files(one), [photographs[2].name]);
  });

  test(`${name} sends what is no photograph, and is told so`, async () => {
    const { uploadImages } = await send(One, {
      file: new File(["?"], "x.jpg"),
    });
    assert.equal(uploadImages.results[0].verdict, "REJECTED");
  });
}

test("operations in a batch are refused with 400", async () => {
  let status;
  const link = new BatchHttpLink({
    uri: endpoint,
    headers,
    fetch: async (...request) => {
      const answer = await fetch(...request);
      ({ status } = answer);
      return answer;
    },
  });
  const client = new ApolloClient({ cache: new InMemoryCache(), link });
  const query = gql("{ server { name } }");
  await assert.rejects(client.query({ query }), /one operation|object/);
  assert.equal(status, 400);
});

const operations = JSON.stringify({ query: One, variables: { file: null } });
const map = JSON.stringify({ 0: ["variables.file"] });

/** The parts of forms that are not as the specification has them. */
const wrong = {
  "operations in a batch": [
    ["operations", `[${operations}]`],
    ["map", JSON.stringify({ 0: ["0.variables.file"] })],
    ["0", photograph],
  ],
  "a variable that is not there": [
    ["operations", operations],
    ["map", JSON.stringify({ 0: ["variables.files.0"] })],
    ["0", photograph],
  ],
  "a missing file": [
    ["operations", operations],
    ["map", map],
  ],
  "an extra file": [
    ["operations", operations],
    ["map", map],
    ["0", photograph],
    ["1", second],
  ],
  "the map before the operations": [
    ["map", map],
    ["operations", operations],
    ["0", photograph],
  ],
  "the file before the map": [
    ["operations", operations],
    ["0", photograph],
    ["map", map],
  ],
  "no operations": [
    ["map", map],
    ["0", photograph],
  ],
  "a map that is not JSON": [
    ["operations", operations],
    ["map", "{"],
    ["0", photograph],
  ],
};

for (const [what, parts] of Object.entries(wrong))
  test(`${what}: refused with 400`, async () => {
    const body = new FormData();
    for (const [name, value] of parts) body.append(name, value);
    const answer = await fetch(endpoint, { method: "POST", headers, body });
    assert.equal(answer.status, 400);
    const { errors, data } = await answer.json();
    assert.equal(errors[0].extensions.code, "BAD_USER_INPUT");
    assert.equal(data, undefined);
  });
