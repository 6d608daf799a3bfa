// Builds dist/, which is committed so that Go alone can build the server.
//
//   node build.mjs           writes dist/
//   node build.mjs --check   writes nothing; fails unless dist/ is what would be written
//
// File names carry a hash of their contents, so the server lets browsers keep
// them for ever. Nothing in the output depends on the machine or the clock.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

/** What dist/ should hold: contents by path. */
async function bundle() {
  const result = await build({
    absWorkingDir: here,
    // The workers are built in the same run as the page, so that what they have
    // in common (graphql, most of all) is there once.
    entryPoints: {
      playground: "src/main.tsx",
      "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
      "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
      "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
    },
    outdir: "dist/assets",
    entryNames: "[name]-[hash]",
    chunkNames: "chunk-[hash]",
    assetNames: "[name]-[hash]",
    loader: { ".ttf": "file", ".graphql": "text" },
    define: { "process.env.NODE_ENV": '"production"' },
    jsx: "automatic",
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none", // the licences file has them whole
    metafile: true,
    write: false,
    logLevel: "warning",
  });

  const files = new Map();
  const names = new Map(); // from a name without its hash to the name with it
  const add = (name, contents) => {
    files.set(`assets/${name}`, Buffer.from(contents));
    names.set(name.replace(/-[^-.]+(?=\.[a-z]+$)/, ""), name);
  };
  for (const { path, contents } of result.outputFiles) {
    // The styles of what is loaded late are in the page's own stylesheet too.
    if (/^chunk-.*\.css$/.test(basename(path))) continue;
    add(basename(path), contents);
  }

  const notices = licences(result.metafile);
  const hash = createHash("sha256").update(notices).digest("hex").slice(0, 8);
  add(`licences-${hash}.txt`, notices);

  const page = readFileSync(join(here, "src/index.html"), "utf8").replaceAll(
    /\{\{(.+?)\}\}/g,
    (_, name) => {
      if (!names.has(name)) throw new Error(`the build made no ${name}`);
      return `playground/assets/${names.get(name)}`;
    },
  );
  files.set("index.html", Buffer.from(page));
  return files;
}

/** The licences of every package that has code in the output. */
function licences(metafile) {
  const packages = new Set();
  for (const { inputs } of Object.values(metafile.outputs))
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const root = path.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0];
      if (root && bytesInOutput > 0) packages.add(root);
    }
  return [...packages]
    .sort()
    .map((root) => {
      const about = JSON.parse(
        readFileSync(join(here, root, "package.json"), "utf8"),
      );
      const texts = readdirSync(join(here, root))
        .filter((name) => /^(licen[cs]e|thirdpartynotices)/i.test(name))
        .sort()
        .map((name) => readFileSync(join(here, root, name), "utf8").trim());
      return [`${about.name} ${about.version} (${about.license})`, ...texts];
    })
    .map((parts) => parts.join("\n\n").replaceAll("\r\n", "\n"))
    .join(`\n\n${"-".repeat(72)}\n\n`)
    .concat("\n");
}

/** The paths under dist/ that differ from files, or are on one side only. */
function differences(files) {
  const present = existsSync(dist)
    ? readdirSync(dist, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((path) => path.slice(dist.length + 1))
    : [];
  return [...new Set([...files.keys(), ...present])].filter(
    (path) =>
      !files.has(path) ||
      !present.includes(path) ||
      !files.get(path).equals(readFileSync(join(dist, path))),
  );
}

const files = await bundle();
if (process.argv.includes("--check")) {
  const stale = differences(files);
  if (stale.length > 0) {
    console.error("dist/ is not what its sources make; `npm run build`:");
    for (const path of stale) console.error(`  ${path}`);
    process.exit(1);
  }
} else {
  rmSync(dist, { recursive: true, force: true });
  for (const [path, contents] of files) {
    mkdirSync(dirname(join(dist, path)), { recursive: true });
    writeFileSync(join(dist, path), contents);
  }
}
const size = [...files.values()].reduce((sum, file) => sum + file.length, 0);
console.log(`dist/: ${files.size} files, ${(size / 1e6).toFixed(2)} MB`);
