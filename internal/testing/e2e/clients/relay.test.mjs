// Relay: its compiler on the contract that the server gives, and its runtime
// with what that has compiled.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import compiler from "relay-compiler"; // where its program is
import {
  Annotate,
  SignIn,
  device,
  endpoint,
  labels,
  nowhere,
  person,
  photographs,
  server,
} from "./tagma.mjs";

// A copy, because Relay writes what it compiles beside its sources.
const app = fileURLToPath(new URL("build/relay", import.meta.url));
rmSync(app, { recursive: true, force: true });
for (const source of ["examples/relay", "relay"])
  cpSync(fileURLToPath(new URL(source, import.meta.url)), app, {
    recursive: true,
  });

/** Runs a program in the app's folder; gives what it writes. */
function run(program, ...args) {
  const options = { cwd: app, encoding: "utf8" };
  const { status, stdout, stderr } = spawnSync(program, args, options);
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

const compiled = async (name) =>
  (await import(join(app, "__generated__", `${name}.graphql.js`))).default;

test("the compiler takes the contract, connections and refetchable fragments", async () => {
  const sdl = await (await fetch(`${server}/schema.graphql`)).text();
  writeFileSync(join(app, "schema.graphql"), sdl);
  run(compiler, "relay.config.json");
  const { params } = await compiled("fragmentsDeviceQuery");
  assert.match(params.text, /node\(id: \$id\)/);
});

test("the program of docs/clients.md signs in, uploads, annotates and pages", () => {
  run("node", "build.mjs");
  const photos = photographs.map(({ name }) =>
    join(process.env.TAGMA_PHOTOS, name),
  );
  const lines = run("node", "built/series.mjs", ...photos)
    .trim()
    .split("\n");
  assert.equal(lines.length, 2 * photographs.length);
  assert.deepEqual(
    lines.slice(0, photographs.length),
    photographs.map(({ name }) => `${name} CREATED`),
  );
  assert.deepEqual(
    lines.slice(photographs.length).map((line) => line.split(" ")[1]),
    ["1", "0", "0", "0", "0"],
  );
});

let token;
async function ask(query, variables) {
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
  });
  return answer.json();
}

test("objects are fetched again by their ids", async () => {
  token = (await ask(SignIn, person)).data.login.token;
  const { params } = await compiled("fragmentsDeviceQuery");
  const { data } = await ask(params.text, { id: `Device:${device}`, first: 3 });
  assert.equal(data.node.name, device);
  assert.equal(data.node.images.edges.length, 3);

  const again = await compiled("fragmentsImageQuery");
  const [{ node }] = data.node.images.edges;
  const { data: image } = await ask(again.params.text, { id: node.id });
  assert.equal(image.node.takenAt, node.takenAt);
});

test("labels are submitted", async () => {
  const { params } = await compiled("fragmentsSubmitMutation");
  const { data } = await ask(params.text, { input: labels(5) });
  const { status, video } = data.submitLabels.submission;
  assert.equal(status, "PUSHED");
  assert.equal(video.submissions.edges[0].node.frameIndex, 5);
});

test("the code of an error can be read", async () => {
  const { errors } = await ask(Annotate, { input: [nowhere] });
  assert.equal(errors[0].extensions.code, "NOT_FOUND");
});
