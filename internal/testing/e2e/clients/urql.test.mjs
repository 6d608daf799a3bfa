// urql, as it comes: it takes server-sent events and several parts as answers
// too, and asks short queries by GET.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, cacheExchange, fetchExchange } from "@urql/core";
import { retryExchange } from "@urql/exchange-retry";
import {
  Annotate,
  Series,
  SignIn,
  SubmitLabels,
  Upload,
  annotation,
  endpoint,
  labels,
  nowhere,
  person,
  photographs,
  series,
} from "./tagma.mjs";

let token;
const sent = []; // requests, each with its answer
let lost = 0; // answers still to be lost on the way

const client = new Client({
  url: endpoint,
  exchanges: [
    cacheExchange,
    retryExchange({ initialDelayMs: 1, maxNumberAttempts: 3 }),
    fetchExchange,
  ],
  fetchOptions: () =>
    token ? { headers: { authorization: `Bearer ${token}` } } : {},
  fetch: async (url, init) => {
    const answer = await fetch(url, init);
    sent.push({ init, answer });
    if (lost-- > 0) throw new TypeError("the connection broke");
    return answer;
  },
});

/** The data of an answer without errors. */
async function data(answer) {
  const { data, error } = await answer;
  assert.ifError(error);
  return data;
}

test("signs in, with its own Accept", async () => {
  const { login } = await data(client.mutation(SignIn, person));
  token = login.token;
  const { init, answer } = sent.at(-1);
  assert.match(init.headers.accept, /text\/event-stream, multipart\/mixed/);
  assert.match(
    answer.headers.get("content-type"),
    /^application\/graphql-response\+json/,
  );
});

let images;
test("uploads photographs", async () => {
  const { uploadImages } = await data(
    client.mutation(Upload, { files: photographs }),
  );
  assert.deepEqual(
    uploadImages.results.map(({ filename, verdict }) => [filename, verdict]),
    photographs.map(({ name }) => [name, "CREATED"]),
  );
  images = uploadImages.results.map(({ image }) => image);
});

for (const preferGetMethod of [false, true, "force", "within-url-limit"])
  test(`pages a series to its end, with preferGetMethod ${preferGetMethod}`, async () => {
    const seen = [];
    const context = { preferGetMethod, requestPolicy: "network-only" };
    for (let more = true, after; more;) {
      const { imageSeries } = await data(
        client.query(Series, { series, after }, context),
      );
      seen.push(...imageSeries.edges.map(({ node }) => node.id));
      more = imageSeries.pageInfo.hasNextPage;
      after = imageSeries.pageInfo.endCursor;
      assert.equal(sent.at(-1).init.method, preferGetMethod ? "GET" : "POST");
    }
    assert.deepEqual(
      seen,
      images.map(({ id }) => id),
    );
  });

test("puts an annotation, and asks for the series anew", async () => {
  const input = [annotation(images[0], "urql")];
  const { putAnnotations } = await data(client.mutation(Annotate, { input }));
  assert.equal(putAnnotations.results[0].annotation.objectCount, 1);
  const { imageSeries } = await data(client.query(Series, { series }));
  assert.equal(imageSeries.edges[0].node.annotations.length, 1);
});

test("submits labels, once although the first answers are lost", async () => {
  lost = 2;
  const before = sent.length;
  const { submitLabels } = await data(
    client.mutation(SubmitLabels, { input: labels(1) }),
  );
  assert.equal(sent.length, before + 3);
  assert.equal(submitLabels.submission.status, "PUSHED");
  assert.equal(submitLabels.submission.video.coverage, 0.01);
});

test("reads the code of an error, and all its problems", async () => {
  const { error } = await client.mutation(Annotate, {
    input: [nowhere, { ...nowhere, md5: "short" }],
  });
  const [{ extensions }] = error.graphQLErrors;
  assert.equal(extensions.code, "NOT_FOUND");
  assert.deepEqual(
    extensions.problems.map(({ path }) => path.slice(0, 2)),
    [
      ["input", "0"],
      ["input", "1"],
    ],
  );
});

test("reads the code of a request that was refused before it ran", async () => {
  const { error } = await client.query("{ nothing }", {});
  assert.equal(error.response.status, 400);
  assert.equal(error.graphQLErrors[0].extensions.code, "BAD_USER_INPUT");
});
