// Monaco does its thinking in workers. The build gives their files names with
// a hash in them, and index.html says which they are.

const { editorWorker, graphqlWorker, jsonWorker } =
  document.documentElement.dataset;

const paths: Record<string, string | undefined> = {
  graphql: graphqlWorker,
  json: jsonWorker,
};

self.MonacoEnvironment = {
  getWorker(_id: string, label: string): Worker {
    const path = paths[label] ?? editorWorker ?? "";
    return new Worker(new URL(path, document.baseURI), { type: "module" });
  },
};
