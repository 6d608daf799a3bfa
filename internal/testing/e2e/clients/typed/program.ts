// A small program that is wrong in four places, if the types are right.

import { GraphQLClient } from "graphql-request";
import { graphql } from "./gql";

const Series = graphql(`
  query Series($series: [SeriesInput!]!, $after: String) {
    imageSeries(series: $series, first: 2, after: $after) {
      nodes {
        takenAt
        temperature
        annotations {
          objects {
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
`);

const Upload = graphql(`
  mutation Upload($files: [Upload!]!) {
    uploadImages(files: $files) {
      results {
        verdict
        problem {
          code
          path
        }
      }
    }
  }
`);

const SubmitLabels = graphql(`
  mutation SubmitLabels($input: LabelSubmissionInput!) {
    submitLabels(input: $input) {
      submission {
        status
      }
    }
  }
`);

export async function coldest(client: GraphQLClient, device: string) {
  const start = "2020-01-01T00:00:00Z";
  const series = [{ device, start, end: "2030-01-01T00:00:00Z" }];
  const { imageSeries } = await client.request(Series, { series });

  // @ts-expect-error: a sensor may have failed
  imageSeries.nodes[0]?.temperature.toFixed(1);
  // @ts-expect-error: not asked for
  imageSeries.nodes[0]?.md5;

  const vertices: number[][] | undefined =
    imageSeries.nodes[0]?.annotations[0]?.objects[0]?.contour;
  const known = imageSeries.nodes.flatMap(({ temperature }) =>
    temperature == null ? [] : [temperature],
  );
  return { vertices, coldest: Math.min(...known) };
}

export async function send(client: GraphQLClient, files: File[]) {
  // @ts-expect-error: these are files
  await client.request(Upload, { files: ["0a5bb6f4.jpg"] });

  const { uploadImages } = await client.request(Upload, { files });
  return uploadImages.results.every(({ verdict }) => verdict === "CREATED");
}

export async function label(client: GraphQLClient) {
  const input = {
    videoUrl: "https://videos.example.org/rat-7.mp4",
    frameIndex: 7,
    totalFrames: 100,
    fps: 25,
    frameWidth: 640,
    frameHeight: 480,
    timestamp: "2026-05-04T10:00:00Z",
    labels: [{ key: "nose", name: "Nose", placed: false }],
  };
  const { labels, ...rest } = input;
  // @ts-expect-error: labels are required
  await client.request(SubmitLabels, { input: rest });

  const { submitLabels } = await client.request(SubmitLabels, { input });
  return submitLabels.submission.status === "PUSHED";
}
