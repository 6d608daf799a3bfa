// node urql.mjs PHOTOGRAPH…

import { Client, cacheExchange, fetchExchange, gql } from "@urql/core";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

const server = process.env.TAGMA_URL ?? "http://127.0.0.1:8080";
let token;

const client = new Client({
  url: `${server}/graphql`,
  exchanges: [cacheExchange, fetchExchange],
  fetchOptions: () =>
    token ? { headers: { authorization: `Bearer ${token}` } } : {},
});

/** The data of an answer. Programs go by the code, see docs/errors.md. */
async function dataOf(answer) {
  const { data, error } = await answer;
  if (!error) return data;
  for (const { message, extensions } of error.graphQLErrors)
    console.error(extensions.code, message);
  throw error;
}

const { login } = await dataOf(
  client.mutation(
    gql`
      mutation SignIn($username: String!, $password: String!) {
        login(username: $username, password: $password) {
          token
        }
      }
    `,
    {
      username: process.env.TAGMA_USER,
      password: process.env.TAGMA_PASSWORD,
    },
  ),
);
token = login.token;

// A File among the variables makes the request an upload.
const files = await Promise.all(
  process.argv
    .slice(2)
    .map(async (path) => new File([await readFile(path)], basename(path))),
);
const { uploadImages } = await dataOf(
  client.mutation(
    gql`
      mutation Upload($files: [Upload!]!) {
        uploadImages(files: $files) {
          results {
            filename
            verdict
            image {
              id
              takenAt
              md5
              device {
                id
                name
              }
            }
          }
        }
      }
    `,
    { files },
  ),
);
for (const { filename, verdict } of uploadImages.results)
  console.log(filename, verdict);

const { device, takenAt, md5 } = uploadImages.results[0].image;
await dataOf(
  client.mutation(
    gql`
      mutation Annotate($input: [AnnotationInput!]!) {
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
  ),
);

const Series = gql`
  query Series($series: [SeriesInput!]!, $after: String) {
    imageSeries(series: $series, first: 2, after: $after) {
      nodes {
        id
        takenAt
        annotations {
          id
          objects {
            name
            contour
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
const series = [
  {
    device: device.name,
    start: "2020-01-01T00:00:00Z",
    end: "2030-01-01T00:00:00Z",
  },
];
for (let more = true, after = null; more;) {
  const { imageSeries } = await dataOf(client.query(Series, { series, after }));
  for (const { takenAt, annotations } of imageSeries.nodes)
    console.log(takenAt, annotations.length);
  more = imageSeries.pageInfo.hasNextPage;
  after = imageSeries.pageInfo.endCursor;
}
