// PostGraphile as its pages advise for production, on the database of the first
// argument, with as many processes as the second says. Nobody signs in.
import cluster from "node:cluster";
import { createServer } from "node:http";

import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { jsonPgSmartTags } from "postgraphile/utils";
import { PostGraphileConnectionFilterPreset } from "postgraphile-plugin-connection-filter";

const [connectionString, processes] = process.argv.slice(2);

// It takes constraints for keys, and the tables have a unique index.
const uniqueImages = jsonPgSmartTags({
  version: 1,
  config: { class: { images: { tags: { unique: "device,taken_at" } } } },
});

function announce({ address, port }) {
  console.log(`PostGraphile is at http://${address}:${port}/`);
}

async function serve() {
  const preset = {
    extends: [PostGraphileAmberPreset, PostGraphileConnectionFilterPreset],
    plugins: [uniqueImages],
    schema: { defaultBehavior: "+list +connection" },
    pgServices: [
      makePgService({
        connectionString,
        schemas: ["public"],
        poolConfig: { max: 8 }, // a connection for each client
      }),
    ],
    grafast: { explain: false },
    grafserv: {
      watch: false,
      graphiql: false,
      websockets: false,
      outputDataAsString: true, // strings of JSON are put together, not objects
    },
  };
  const server = createServer();
  server.keepAliveTimeout = 600_000; // the others have their turns meanwhile
  await postgraphile(preset).createServ(grafserv).addTo(server);
  server.listen(0, "127.0.0.1", () => {
    if (cluster.isPrimary) announce(server.address());
  });
}

if (cluster.isPrimary && processes > 1) {
  let waiting = Number(processes);
  for (let n = 0; n < processes; n++) cluster.fork();
  cluster.on("listening", (_, address) => {
    if (--waiting === 0) announce(address);
  });
} else {
  await serve();
}
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => process.exit(0));
}
