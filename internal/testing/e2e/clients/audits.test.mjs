// GraphQL over HTTP, as graphql-http audits it. A warning fails too.

import assert from "node:assert/strict";
import { test } from "node:test";
import { serverAudits } from "graphql-http";
import { endpoint } from "./tagma.mjs";

const audits = serverAudits({ url: endpoint });

for (const { id, name, fn } of audits)
  test(`${id} ${name}`, async () => {
    const { status, reason } = await fn();
    assert.equal(status, "ok", reason);
  });

test("there are as many audits as there should be", () => {
  assert.ok(audits.length >= 61, `only ${audits.length}`);
});
