// What all suites ask the server for, and with what.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const { TAGMA_URL, TAGMA_USER, TAGMA_PASSWORD, TAGMA_PHOTOS } = process.env;

export const server = TAGMA_URL;
export const endpoint = `${TAGMA_URL}/graphql`;
export const person = { username: TAGMA_USER, password: TAGMA_PASSWORD };

/** The photographs to upload: five of one trap, a second apart. */
export const photographs = readdirSync(TAGMA_PHOTOS)
  .sort()
  .map((name) => new File([readFileSync(join(TAGMA_PHOTOS, name))], name));

export const device = photographs[0].name.slice(0, 8);
export const series = [
  { device, start: "2020-01-01T00:00:00Z", end: "2030-01-01T00:00:00Z" },
];

export const SignIn = `
  mutation SignIn($username: String!, $password: String!) {
    login(username: $username, password: $password) {
      token
    }
  }
`;

export const Upload = `
  mutation Upload($files: [Upload!]!) {
    uploadImages(files: $files) {
      results { filename verdict image { id takenAt md5 } }
    }
  }
`;

export const Series = `
  query Series($series: [SeriesInput!]!, $after: String) {
    imageSeries(series: $series, first: 2, after: $after) {
      edges { node { id takenAt annotations { id objectCount } } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;

export const Annotate = `
  mutation Annotate($input: [AnnotationInput!]!) {
    putAnnotations(input: $input) {
      results { annotation { id objectCount image { id annotations { id objectCount } } } }
    }
  }
`;

/** An annotation of an image, under an algorithm of that name. */
export const annotation = ({ takenAt, md5 }, name) => ({
  image: { device, takenAt },
  md5,
  algorithm: { name, version: "1" },
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
});

export const SubmitLabels = `
  mutation SubmitLabels($input: LabelSubmissionInput!) {
    submitLabels(input: $input, wait: "PT10S") {
      outcome
      submission { id status failure commitSha labels { key placed pixelX } video { id coverage } }
    }
  }
`;

const paws = [
  "left_front_paw",
  "right_front_paw",
  "left_hind_paw",
  "right_hind_paw",
  "nose",
  "tail_base",
];

/** Labels of a frame, against the set that is there from the start. */
export const labels = (frameIndex) => ({
  videoUrl: "https://videos.example.org/rat-7.mp4",
  frameIndex,
  totalFrames: 100,
  fps: 25,
  frameWidth: 640,
  frameHeight: 480,
  timestamp: "2026-05-04T10:00:00Z",
  labels: paws.map((key, n) =>
    n === 0
      ? { key, name: key, placed: false }
      : { key, name: key, placed: true, pixelX: 10 * n, pixelY: 20.5 },
  ),
});

/** Is answered NOT_FOUND: there is no such image. */
export const nowhere = annotation(
  { takenAt: "2020-01-01T00:00:00Z", md5: "0".repeat(32) },
  "nobody",
);
