// graphql-request, for scripts. It sends no files: fetch does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientError, GraphQLClient } from "graphql-request";
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
const client = new GraphQLClient(endpoint, {
  headers: () => (token ? { authorization: `Bearer ${token}` } : {}),
});

test("signs in", async () => {
  token = (await client.request(SignIn, person)).login.token;
});

let images;
test("photographs are uploaded beside it", async () => {
  const form = new FormData();
  const files = photographs.map(() => null);
  form.set(
    "operations",
    JSON.stringify({ query: Upload, variables: { files } }),
  );
  const places = photographs.map((_, n) => [n, [`variables.files.${n}`]]);
  form.set("map", JSON.stringify(Object.fromEntries(places)));
  photographs.forEach((file, n) => form.set(n, file));
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: form,
  });
  const { results } = (await answer.json()).data.uploadImages;
  assert.ok(results.every(({ verdict }) => verdict === "CREATED"));
  images = results.map(({ image }) => image);
});

for (const method of ["POST", "GET"])
  test(`pages a series to its end by ${method}`, async () => {
    const reader = new GraphQLClient(endpoint, {
      method,
      jsonSerializer: JSON, // for the variables of a GET
      headers: { authorization: `Bearer ${token}` },
    });
    const seen = [];
    for (let more = true, after; more;) {
      const { imageSeries } = await reader.request(Series, { series, after });
      seen.push(...imageSeries.edges.map(({ node }) => node.id));
      more = imageSeries.pageInfo.hasNextPage;
      after = imageSeries.pageInfo.endCursor;
    }
    assert.deepEqual(
      seen,
      images.map(({ id }) => id),
    );
  });

test("puts annotations", async () => {
  const input = images.map((image) => annotation(image, "graphql-request"));
  const { putAnnotations } = await client.request(Annotate, { input });
  assert.equal(putAnnotations.results.length, images.length);
});

test("submits labels", async () => {
  const { submitLabels } = await client.request(SubmitLabels, {
    input: labels(4),
  });
  assert.equal(submitLabels.submission.status, "PUSHED");
});

test("reads the code of an error", async () => {
  await assert.rejects(
    client.request(Annotate, { input: [nowhere] }),
    (error) => {
      assert.ok(error instanceof ClientError);
      assert.equal(error.response.errors[0].extensions.code, "NOT_FOUND");
      return true;
    },
  );
});

test("a batch of operations is refused, and says so", async () => {
  await assert.rejects(
    client.batchRequests([{ document: "{ __typename }" }]),
    (error) => {
      assert.equal(error.response.status, 400);
      assert.match(error.message, /one operation|object/);
      return true;
    },
  );
});
