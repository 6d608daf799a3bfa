// The normalized caches of Apollo Client and urql, with the examples of
// docs/clients.md: objects without an id do not overwrite one another.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { Client, cacheExchange, fetchExchange } from "@urql/core";
import { cacheExchange as graphcache } from "@urql/exchange-graphcache";
import { GraphQLClient } from "graphql-request";
import { buildSchema, isObjectType } from "graphql";
import { apolloCache, urqlCache, withoutId } from "./examples/caches.mjs";
import {
  Annotate,
  SignIn,
  SubmitLabels,
  Upload,
  annotation,
  endpoint,
  labels,
  person,
  photographs,
} from "./tagma.mjs";

const Frames = `
  query Frames($video: URL!) {
    labelSubmissions(filter: { video: $video }) {
      nodes { id frameIndex labels { key pixelX } labelSet { id labels { key name } } }
    }
  }
`;

const Boxes = `
  query Boxes($device: String!, $takenAt: DateTime!) {
    image(device: $device, takenAt: $takenAt) {
      id
      annotations { id algorithm { name } objects { name boundingBox { x y width height } } }
    }
  }
`;

const schema = buildSchema(
  readFileSync(new URL("../../../../schema.graphql", import.meta.url), "utf8"),
);
const roots = [
  schema.getQueryType(),
  schema.getMutationType(),
  schema.getSubscriptionType(),
];

test("the example lists every type without an id", () => {
  const types = Object.values(schema.getTypeMap()).filter(
    (type) =>
      isObjectType(type) &&
      !type.name.startsWith("__") &&
      !roots.includes(type) &&
      !type.getFields().id,
  );
  assert.deepEqual(withoutId, types.map(({ name }) => name).sort());
});

let headers;
let image;
const video = labels(0).videoUrl;
const noses = [100, 200];
test("two frames have their noses in different places, an image two boxes", async () => {
  const anyone = new GraphQLClient(endpoint);
  const { login } = await anyone.request(SignIn, person);
  headers = { authorization: `Bearer ${login.token}` };
  const client = new GraphQLClient(endpoint, { headers });
  for (const x of noses) {
    const input = labels(x / 10);
    input.labels.find(({ key }) => key === "nose").pixelX = x;
    await client.request(SubmitLabels, { input });
  }
  const form = new FormData();
  form.set(
    "operations",
    JSON.stringify({ query: Upload, variables: { files: [null] } }),
  );
  form.set("map", JSON.stringify({ 0: ["variables.files.0"] }));
  form.set("0", photographs[0]);
  const upload = await fetch(endpoint, { method: "POST", headers, body: form });
  ({ image } = (await upload.json()).data.uploadImages.results[0]);
  const input = annotation(image, "caches");
  const [moth] = input.objects;
  const shifted = moth.contour.map(([x, y]) => [x + 50, y]);
  input.objects.push({ ...moth, contour: shifted });
  await client.request(Annotate, { input: [input] });
});

/** Where the noses are in what a client returns for Frames. */
const nosesOf = ({ labelSubmissions }) =>
  labelSubmissions.nodes.map(
    ({ labels }) => labels.find(({ key }) => key === "nose").pixelX,
  );

/** The boxes in what a client returns for Boxes. */
const boxesOf = ({ image }) =>
  image.annotations[0].objects.map(({ boundingBox: { x, y, width, height } }) =>
    [x, y, width, height].join(),
  );

const boxes = ["10,10,50,40", "60,10,50,40"];

/** A function that asks through Apollo Client, each time from the cache if it can. */
function apollo(cache) {
  const client = new ApolloClient({
    cache,
    link: new HttpLink({ uri: endpoint, headers }),
  });
  return async (query, variables) =>
    (await client.query({ query: gql(query), variables })).data;
}

/** The same through urql. */
function urql(exchange) {
  const client = new Client({
    url: endpoint,
    exchanges: [exchange, fetchExchange],
    fetchOptions: { headers },
    preferGetMethod: false,
  });
  return async (query, variables) => {
    const { data, error } = await client.query(query, variables);
    assert.ifError(error);
    return data;
  };
}

for (const [name, asking] of [
  ["Apollo Client's default cache", () => apollo(new InMemoryCache())],
  ["Apollo Client's cache of the example", () => apollo(apolloCache())],
  ["urql's document cache", () => urql(cacheExchange)],
  ["urql's graphcache of the example", () => urql(urqlCache())],
])
  test(`${name} keeps the labels of two frames and the boxes of two objects apart`, async (t) => {
    const warn = t.mock.method(console, "warn");
    const ask = asking();
    const where = {
      device: photographs[0].name.slice(0, 8),
      takenAt: image.takenAt,
    };
    for (let times = 0; times < 2; times++) {
      assert.deepEqual(nosesOf(await ask(Frames, { video })), noses);
      assert.deepEqual(boxesOf(await ask(Boxes, where)), boxes);
    }
    assert.deepEqual(
      warn.mock.calls.map(({ arguments: said }) => said[0]),
      [],
    );
  });

// The two tests below show that the tests above can fail.

test("a cache that takes a label's key for an id mixes the frames up", async () => {
  const wrong = new InMemoryCache({
    typePolicies: { Label: { keyFields: ["key"] } },
  });
  const data = await apollo(wrong)(Frames, { video });
  assert.notDeepEqual(nosesOf(data), noses);
});

test("graphcache warns of types without an id that it is not told of", async (t) => {
  const warn = t.mock.method(console, "warn", () => undefined);
  await urql(graphcache({}))(Frames, { video });
  assert.ok(warn.mock.calls.length > 0);
});
