// Subscriptions over WebSockets and server-sent events, by the libraries that
// urql and Apollo Client use.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { GraphQLClient } from "graphql-request";
import { createClient as eventClient } from "graphql-sse";
import { createClient as socketClient } from "graphql-ws";
import WebSocket from "ws";
import {
  Annotate,
  SignIn,
  SubmitLabels,
  Upload,
  annotation,
  device,
  endpoint,
  labels,
  person,
  photographs,
} from "./tagma.mjs";

const ImageAdded = `subscription { imageAdded { id takenAt device { name } } }`;
const AnnotationAdded = `subscription { annotationAdded { id algorithm { name } } }`;
const LabelsUpdated = `subscription { labelSubmissionUpdated { id status frameIndex } }`;
const Delete = `
  mutation Delete($images: [ImageKey!]!) { deleteImages(images: $images) { images } }
`;

async function signIn() {
  const { login } = await new GraphQLClient(endpoint).request(SignIn, person);
  return { authorization: `Bearer ${login.token}` };
}

const headers = await signIn();
const caller = new GraphQLClient(endpoint, { headers });
const uploader = new Client({
  url: endpoint,
  exchanges: [fetchExchange],
  fetchOptions: { headers },
});

const sockets = [];
/** graphql-ws as in a browser: the token goes in the first message. */
function socket(connectionParams, options) {
  const client = socketClient({
    url: endpoint.replace("http", "ws"),
    webSocketImpl: WebSocket,
    connectionParams,
    retryAttempts: 0,
    ...options,
  });
  sockets.push(client);
  return client;
}
after(() => sockets.map((client) => client.dispose()));

/** Adds an image, again and again. */
async function image() {
  const { data, error } = await uploader.mutation(Upload, {
    files: [photographs[0]],
  });
  assert.ifError(error);
  const [{ image }] = data.uploadImages.results;
  const images = [{ device, takenAt: image.takenAt }];
  await caller.request(Delete, { images });
}

const [, kept] = photographs;
const { data: uploaded } = await uploader.mutation(Upload, { files: [kept] });

/** Adds an annotation, each of another version. */
async function annotate(n) {
  const made = annotation(uploaded.uploadImages.results[0].image, "told");
  made.algorithm.version = String(n);
  await caller.request(Annotate, { input: [made] });
}

/**
 * What a subscription tells until enough says so. A subscription is in force
 * soon after it was sent, so things happen until it tells of the first.
 */
async function told(subscribe, happen, enough = () => true) {
  let stop;
  const done = new Promise((resolve, reject) => {
    const answers = [];
    stop = subscribe((answer) => {
      answers.push(answer);
      if (enough(answers)) resolve(answers);
    }, reject);
  });
  for (let n = 0; ; n++) {
    await happen(n);
    const answers = await Promise.race([done, delay(100)]);
    if (!answers) continue;
    stop();
    return answers;
  }
}

/** The sink of graphql-ws and graphql-sse. */
const sink = (next, error) => ({
  next: ({ data, errors }) => (errors ? error(errors[0]) : next(data)),
  error,
  complete() {},
});

/** The subscriptions of urql, as told takes them. */
const ofUrql = (client, query) => (next, fail) =>
  client.subscription(query, {}).subscribe(({ data, error }) => {
    if (error) fail(error);
    else next(data);
  }).unsubscribe;

test("urql with graphql-ws is told of images", async () => {
  const ws = socket(headers);
  const client = new Client({
    url: endpoint,
    exchanges: [
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (observer) => ({
            unsubscribe: ws.subscribe(
              { ...request, query: request.query ?? "" },
              observer,
            ),
          }),
        }),
      }),
    ],
  });
  const [{ imageAdded }] = await told(ofUrql(client, ImageAdded), image);
  assert.equal(imageAdded.device.name, device);
});

test("urql by itself is told of annotations, by server-sent events", async () => {
  const types = [];
  const client = new Client({
    url: endpoint,
    exchanges: [fetchExchange],
    fetchSubscriptions: true,
    fetchOptions: { headers },
    fetch: async (...request) => {
      const answer = await fetch(...request);
      types.push(answer.headers.get("content-type"));
      return answer;
    },
  });
  const [{ annotationAdded }] = await told(
    ofUrql(client, AnnotationAdded),
    annotate,
  );
  assert.equal(annotationAdded.algorithm.name, "told");
  assert.match(types[0], /^text\/event-stream/);
});

test("graphql-sse is told of images", async () => {
  const client = eventClient({ url: endpoint, headers });
  const [{ imageAdded }] = await told(
    (next, fail) => client.subscribe({ query: ImageAdded }, sink(next, fail)),
    image,
  );
  assert.equal(imageAdded.device.name, device);
});

test("of many annotations at once none is lost or garbled on the way", async () => {
  const client = eventClient({ url: endpoint, headers });
  const [, , image] = photographs;
  const { data } = await uploader.mutation(Upload, { files: [image] });
  const made = annotation(data.uploadImages.results[0].image, "burst");
  const burst = (n) =>
    caller.request(Annotate, {
      input: Array.from({ length: 50 }, (_, version) => ({
        ...made,
        algorithm: { name: "burst", version: `${n}.${version}` },
      })),
    });
  const answers = await told(
    (next, fail) =>
      client.subscribe({ query: AnnotationAdded }, sink(next, fail)),
    burst,
    (answers) => answers.length >= 100,
  );
  const ids = answers.map(({ annotationAdded }) => annotationAdded.id);
  assert.equal(new Set(ids).size, ids.length);
});

test("Apollo Client sees labels on their way into the repository", async () => {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: new GraphQLWsLink(socket(headers)),
  });
  const answers = await told(
    (next, error) => {
      const subscription = client
        .subscribe({ query: gql(LabelsUpdated) })
        .subscribe({
          next: ({ data, error: failed }) =>
            failed ? error(failed) : next(data),
          error,
        });
      return () => subscription.unsubscribe();
    },
    (n) => caller.request(SubmitLabels, { input: labels(n % 100) }),
    (answers) =>
      answers.some(
        ({ labelSubmissionUpdated }) =>
          labelSubmissionUpdated.status === "PUSHED",
      ),
  );
  const { id } = answers[0].labelSubmissionUpdated;
  assert.ok(client.cache.extract()[`LabelSubmission:${id}`]);
});

test("queries and mutations go over the socket too", async () => {
  const ws = socket(headers);
  const answers = ws.iterate({ query: "{ viewer { username } }" });
  const { value } = await answers.next();
  assert.equal(value.data.viewer.username, person.username);
});

test("who says no token is turned away with 4403", async () => {
  const answers = socket({}).iterate({ query: ImageAdded });
  await assert.rejects(answers.next(), { code: 4403 });
});

test("a mistake is told with its code", async () => {
  const answers = socket(headers).iterate({
    query: "subscription { nothing }",
  });
  await assert.rejects(answers.next(), ([{ extensions }]) => {
    assert.equal(extensions.code, "BAD_USER_INPUT");
    return true;
  });
});

test("who signs out is told no more: 4403", async () => {
  const session = await signIn();
  let ws;
  const connected = new Promise((resolve) => {
    ws = socket(session, { on: { connected: resolve } });
  });
  const told = assert.rejects(ws.iterate({ query: ImageAdded }).next(), {
    code: 4403,
  });
  await connected;
  await new GraphQLClient(endpoint, { headers: session }).request(
    "mutation { logout { tokenId } }",
  );
  await told;
});
