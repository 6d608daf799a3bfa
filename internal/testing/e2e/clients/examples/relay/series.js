// node built/series.mjs PHOTOGRAPH…

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import {
  Environment,
  Network,
  RecordSource,
  Store,
  commitMutation,
  fetchQuery,
  getSelector,
  graphql,
} from "relay-runtime";

const server = process.env.TAGMA_URL ?? "http://127.0.0.1:8080";
let token;

const environment = new Environment({
  store: new Store(new RecordSource()),
  network: Network.create(async (operation, variables, _, uploadables) => {
    const query = JSON.stringify({ query: operation.text, variables });
    const response = await fetch(`${server}/graphql`, {
      method: "POST",
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(!uploadables && { "content-type": "application/json" }),
      },
      body: uploadables ? form(query, uploadables) : query,
    });
    const answer = await response.json();
    // Programs go by the code, see docs/errors.md.
    for (const { message, extensions } of answer.errors ?? [])
      console.error(operation.name, extensions.code, message);
    return answer;
  }),
});

/** An upload: what to do, which file belongs where, and the files. */
function form(operations, files) {
  const body = new FormData();
  body.set("operations", operations);
  const places = Object.keys(files).map((place) => [place, [place]]);
  body.set("map", JSON.stringify(Object.fromEntries(places)));
  for (const [place, file] of Object.entries(files)) body.set(place, file);
  return body;
}

const mutate = (mutation, variables, uploadables) =>
  new Promise((onCompleted, onError) =>
    commitMutation(environment, {
      mutation,
      variables,
      uploadables,
      onCompleted: (data, errors) =>
        errors ? onError(new Error(errors[0].message)) : onCompleted(data),
      onError,
    }),
  );

const { login } = await mutate(
  graphql`
    mutation seriesSignInMutation($username: String!, $password: String!) {
      login(username: $username, password: $password) {
        token
      }
    }
  `,
  { username: process.env.TAGMA_USER, password: process.env.TAGMA_PASSWORD },
);
token = login.token;

const files = await Promise.all(
  process.argv
    .slice(2)
    .map(async (path) => new File([await readFile(path)], basename(path))),
);
const { uploadImages } = await mutate(
  graphql`
    mutation seriesUploadMutation($files: [Upload!]!) {
      uploadImages(files: $files) {
        results {
          filename
          verdict
          image {
            takenAt
            md5
            device {
              name
            }
          }
        }
      }
    }
  `,
  { files: files.map(() => null) },
  Object.fromEntries(files.map((file, n) => [`variables.files.${n}`, file])),
);
for (const { filename, verdict } of uploadImages.results)
  console.log(filename, verdict);

const { device, takenAt, md5 } = uploadImages.results[0].image;
await mutate(
  graphql`
    mutation seriesAnnotateMutation($input: [AnnotationInput!]!) {
      putAnnotations(input: $input) {
        results {
          annotation {
            id
          }
        }
      }
    }
  `,
  {
    input: [
      {
        image: { device: device.name, takenAt },
        md5,
        algorithm: { name: "by-hand", version: "1" },
        objects: [
          {
            name: "moth",
            contour: [
              [10, 10],
              [60, 10],
              [35, 50],
            ],
          },
        ],
      },
    ],
  },
);

// In React: useLazyLoadQuery, and usePaginationFragment for the fragment.
const page = graphql`
  fragment series_page on Query
  @argumentDefinitions(
    after: { type: "String" }
    first: { type: "Int", defaultValue: 2 }
  )
  @refetchable(queryName: "seriesPageQuery") {
    imageSeries(series: $series, first: $first, after: $after)
      @connection(key: "series_imageSeries") {
      edges {
        node {
          takenAt
          annotations {
            objects {
              name
              contour
            }
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;
const query = graphql`
  query seriesQuery($series: [SeriesInput!]!, $after: String) {
    ...series_page @arguments(after: $after)
  }
`;
const series = [
  {
    device: device.name,
    start: "2020-01-01T00:00:00Z",
    end: "2030-01-01T00:00:00Z",
  },
];
// The store joins the pages of one series into one list.
let images;
do {
  const after = images?.pageInfo.endCursor;
  const root = await fetchQuery(environment, query, {
    series,
    after,
  }).toPromise();
  const shown = environment.lookup(getSelector(page, root));
  images = shown.data.imageSeries;
} while (images.pageInfo.hasNextPage);
for (const { node } of images.edges)
  console.log(node.takenAt, node.annotations.length);
