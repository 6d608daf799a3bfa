// The contract against that of the last release, docs/released.graphql: what
// breaks a client has to be announced in CHANGELOG.md, by its coordinate, such
// as `Image.md5`, in the part "Breaking" of what is not released yet. And the
// contract against what the server's introspection answers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ChangeType, CriticalityLevel, diff } from "@graphql-inspector/core";
import {
  buildClientSchema,
  buildSchema,
  getIntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
} from "graphql";
import { endpoint } from "./tagma.mjs";

const read = (path) =>
  readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8");

/** What breaks clients of the old contract and is not announced. */
async function unannounced(before, after, changelog) {
  const announced = breaking(changelog);
  const changes = await diff(buildSchema(before), buildSchema(after));
  return changes
    .filter(
      ({ criticality, type }) =>
        criticality.level === CriticalityLevel.Breaking ||
        type === ChangeType.FieldArgumentDefaultChanged,
    )
    .filter(({ path }) => !announced.includes(`\`${path}\``))
    .map(({ path, message }) => `${path}: ${message}`);
}

/** The part of the change log that announces what breaks. */
function breaking(changelog) {
  const [, unreleased = ""] = changelog.split(/^## \[Unreleased\]$/m);
  const [, part = ""] = unreleased.split(/^## /m)[0].split(/^### Breaking$/m);
  return part.split(/^### /m)[0];
}

/** Before the first release there is nothing to break. */
const isEmpty = (sdl) => sdl.replaceAll(/^#.*$/gm, "").trim() === "";

const contract = read("schema.graphql");
const released = read("docs/released.graphql");

test("nothing breaks the last release's clients unannounced", async () => {
  if (isEmpty(released)) return;
  assert.deepEqual(
    await unannounced(released, contract, read("CHANGELOG.md")),
    [],
  );
});

const before = `
  type Query {
    images(match: String! = "%", first: Int): [Image!]!
  }
  type Image {
    id: ID!
    md5: String!
  }
`;

for (const [what, now, path] of [
  ["a field", before.replace("md5: String!", ""), "Image.md5"],
  ["a promise", before.replace("[Image!]!", "[Image!]"), "Query.images"],
  ["a default", before.replace(' = "%"', ""), "Query.images.match"],
  [
    "a freedom",
    before.replace("first: Int", "first: Int!"),
    "Query.images.first",
  ],
]) {
  const announcement = `\n### Breaking\n\n- \`${path}\` has changed.\n\n### Added\n`;

  test(`${what} that is taken away unannounced is found`, async () => {
    const found = await unannounced(before, now, "## [Unreleased]\n");
    assert.equal(found.length, 1);
    assert.ok(found[0].startsWith(`${path}: `), found[0]);
  });

  test(`${what} that is taken away may be announced`, async () => {
    const changelog = `## [Unreleased]\n${announcement}\n## [1.0.0]\n`;
    assert.deepEqual(await unannounced(before, now, changelog), []);
  });

  test(`${what}: an announcement of an earlier release does not count`, async () => {
    const changelog = `## [Unreleased]\n\n## [1.0.0]\n${announcement}`;
    assert.equal((await unannounced(before, now, changelog)).length, 1);
  });
}

test("what is new breaks nothing", async () => {
  const now = before.replace("first: Int", "first: Int, after: String");
  assert.deepEqual(await unannounced(before, now, ""), []);
});

test("introspection answers the contract", async () => {
  const query = getIntrospectionQuery({
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
    oneOf: true,
  });
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query }),
  });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined);
  const print = (schema) => printSchema(lexicographicSortSchema(schema));
  assert.equal(print(buildClientSchema(data)), print(buildSchema(contract)));
});

test("the whole contract can be held against another", async () => {
  const empty = "type Query { nothing: Int }";
  assert.deepEqual(await unannounced(contract, contract, ""), []);
  assert.ok((await unannounced(contract, empty, "")).length > 50);
});
