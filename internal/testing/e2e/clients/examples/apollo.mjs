// node apollo.mjs PHOTOGRAPH…

import {
  ApolloClient,
  ApolloLink,
  CombinedGraphQLErrors,
  InMemoryCache,
  gql,
} from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { ErrorLink } from "@apollo/client/link/error";
import { relayStylePagination } from "@apollo/client/utilities";
import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

const server = process.env.TAGMA_URL ?? "http://127.0.0.1:8080";
let token;

const client = new ApolloClient({
  link: ApolloLink.from([
    // Programs go by the code, see docs/errors.md.
    new ErrorLink(({ error, operation }) => {
      if (CombinedGraphQLErrors.is(error))
        for (const { message, extensions } of error.errors)
          console.error(operation.operationName, extensions.code, message);
    }),
    new SetContextLink(({ headers }) => ({
      headers: token
        ? { ...headers, authorization: `Bearer ${token}` }
        : headers,
    })),
    new UploadHttpLink({ uri: `${server}/graphql` }),
  ]),
  // Objects are kept by __typename and id. The pages of one series are one list.
  cache: new InMemoryCache({
    typePolicies: {
      Query: {
        fields: { imageSeries: relayStylePagination(["series", "orderBy"]) },
      },
    },
  }),
});

const signIn = await client.mutate({
  mutation: gql`
    mutation SignIn($username: String!, $password: String!) {
      login(username: $username, password: $password) {
        token
      }
    }
  `,
  variables: {
    username: process.env.TAGMA_USER,
    password: process.env.TAGMA_PASSWORD,
  },
});
token = signIn.data.login.token;

const files = await Promise.all(
  process.argv
    .slice(2)
    .map(async (path) => new File([await readFile(path)], basename(path))),
);
const upload = await client.mutate({
  mutation: gql`
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
  variables: { files },
});
for (const { filename, verdict } of upload.data.uploadImages.results)
  console.log(filename, verdict);

const { device, takenAt, md5 } = upload.data.uploadImages.results[0].image;
await client.mutate({
  mutation: gql`
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
  variables: {
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
});

// Pages of two, to the end. In React, useQuery gives data and fetchMore.
const series = client.watchQuery({
  query: gql`
    query Series($series: [SeriesInput!]!, $after: String) {
      imageSeries(series: $series, first: 2, after: $after) {
        edges {
          node {
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
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  variables: {
    series: [
      {
        device: device.name,
        start: "2020-01-01T00:00:00Z",
        end: "2030-01-01T00:00:00Z",
      },
    ],
  },
});
let { imageSeries } = (await series.refetch()).data;
while (imageSeries.pageInfo.hasNextPage) {
  await series.fetchMore({
    variables: { after: imageSeries.pageInfo.endCursor },
  });
  ({ imageSeries } = series.getCurrentResult().data);
}
for (const { node } of imageSeries.edges)
  console.log(node.takenAt, node.annotations.length);
