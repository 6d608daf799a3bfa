// GraphQL Code Generator with its client preset, and TypeScript.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { preset } from "@graphql-codegen/client-preset";
import { codegen } from "@graphql-codegen/core";
import { buildSchema, parse } from "graphql";
import { server } from "./tagma.mjs";

// A copy, because the generator writes into it.
const app = fileURLToPath(new URL("build/typed", import.meta.url));
rmSync(app, { recursive: true, force: true });
cpSync(fileURLToPath(new URL("typed", import.meta.url)), app, {
  recursive: true,
});
const read = (name) => readFileSync(join(app, name), "utf8");

test("the contract that the server gives is typed", async () => {
  const { generates, documents } = JSON.parse(read("codegen.json"));
  const sdl = await (await fetch(`${server}/schema.graphql`)).text();
  const [[output, { config }]] = Object.entries(generates);
  const baseOutputDir = join(app, output);

  // As the generator does from its command line, which is 180 packages more.
  const files = await preset.buildGeneratesSection({
    baseOutputDir,
    schema: parse(sdl),
    schemaAst: buildSchema(sdl),
    documents: documents.flatMap((location) =>
      [...read(location).matchAll(/graphql\(`(.*?)`\)/gs)].map(
        ([, rawSDL]) => ({ location, rawSDL, document: parse(rawSDL) }),
      ),
    ),
    config,
    plugins: [],
    pluginMap: {},
    presetConfig: {},
  });
  for (const file of files) {
    mkdirSync(dirname(file.filename), { recursive: true });
    writeFileSync(file.filename, await codegen(file));
  }
});

test("TypeScript finds the mistakes of a program, and no others", () => {
  const tsc = fileURLToPath(import.meta.resolve("typescript/package.json"));
  try {
    execFileSync(process.execPath, [join(dirname(tsc), "bin/tsc"), "-p", app]);
  } catch ({ stdout }) {
    assert.fail(String(stdout));
  }
});
