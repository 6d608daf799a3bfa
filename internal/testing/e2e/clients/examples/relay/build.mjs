// Bundles series.js. Relay's plugin puts in what relay-compiler has written.

import { transformFileAsync } from "@babel/core";
import { build } from "esbuild";

const relay = {
  name: "relay",
  setup({ onLoad }) {
    onLoad({ filter: /series\.js$/ }, async ({ path }) => {
      const { code } = await transformFileAsync(path, {
        plugins: [["relay", { eagerEsModules: true }]],
      });
      return { contents: code };
    });
  },
};
await build({
  entryPoints: ["series.js"],
  outfile: "built/series.mjs",
  bundle: true,
  format: "esm",
  platform: "node",
  plugins: [relay],
  logLevel: "warning",
});
