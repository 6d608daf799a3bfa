// Apollo Client 4 with its cache, its error link and the upload link.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ApolloClient,
  ApolloLink,
  CombinedGraphQLErrors,
  InMemoryCache,
  gql,
} from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { ErrorLink } from "@apollo/client/link/error";
import { RetryLink } from "@apollo/client/link/retry";
import { relayStylePagination } from "@apollo/client/utilities";
import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";
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
const codes = []; // of all errors
let requests = 0;
let lost = 0; // answers still to be lost on the way

const client = new ApolloClient({
  cache: new InMemoryCache({
    typePolicies: {
      Query: {
        fields: { imageSeries: relayStylePagination(["series", "orderBy"]) },
      },
    },
  }),
  link: ApolloLink.from([
    new ErrorLink(({ error }) => {
      if (CombinedGraphQLErrors.is(error))
        codes.push(...error.errors.map(({ extensions }) => extensions.code));
    }),
    new RetryLink({ delay: { initial: 1 } }),
    new SetContextLink(({ headers }) => ({
      headers: token
        ? { ...headers, authorization: `Bearer ${token}` }
        : headers,
    })),
    new UploadHttpLink({
      uri: endpoint,
      fetch: async (...request) => {
        requests++;
        const answer = await fetch(...request);
        if (lost-- > 0) throw new TypeError("the connection broke");
        return answer;
      },
    }),
  ]),
});

async function mutate(mutation, variables) {
  return (await client.mutate({ mutation: gql(mutation), variables })).data;
}

test("signs in", async () => {
  token = (await mutate(SignIn, person)).login.token;
});

let images;
test("uploads photographs", async () => {
  const { uploadImages } = await mutate(Upload, { files: photographs });
  assert.deepEqual(
    uploadImages.results.map(({ filename, verdict }) => [filename, verdict]),
    photographs.map(({ name }) => [name, "CREATED"]),
  );
  images = uploadImages.results.map(({ image }) => image);
});

test("pages a series to its end, into one list", async () => {
  const query = client.watchQuery({
    query: gql(Series),
    variables: { series },
  });
  let { imageSeries } = (await query.refetch()).data;
  while (imageSeries.pageInfo.hasNextPage) {
    const after = imageSeries.pageInfo.endCursor;
    await query.fetchMore({ variables: { after } });
    ({ imageSeries } = query.getCurrentResult().data);
  }
  assert.deepEqual(
    imageSeries.edges.map(({ node }) => node.id),
    images.map(({ id }) => id),
  );
});

test("an annotation changes the image in the cache, by __typename and id", async () => {
  await mutate(Annotate, { input: [annotation(images[0], "apollo")] });
  const before = requests;
  const { data } = await client.query({
    query: gql(Series),
    variables: { series },
  });
  assert.equal(requests, before, "asked the server, not the cache");
  assert.equal(data.imageSeries.edges[0].node.annotations[0].objectCount, 1);
  assert.ok(client.cache.extract()[`Image:${images[0].id}`]);
});

test("submits labels, once although the first answers are lost", async () => {
  lost = 2;
  const { submitLabels } = await mutate(SubmitLabels, { input: labels(3) });
  assert.equal(submitLabels.submission.status, "PUSHED");
  assert.equal(submitLabels.submission.video.coverage, 0.01);
});

test("the error link reads the code", async () => {
  codes.length = 0;
  await assert.rejects(
    mutate(Annotate, { input: [nowhere] }),
    CombinedGraphQLErrors,
  );
  await assert.rejects(
    client.query({ query: gql("{ nothing }") }),
    CombinedGraphQLErrors,
  );
  assert.deepEqual(codes, ["NOT_FOUND", "BAD_USER_INPUT"]);
});
